"""The clock that forgets: executes what the retention rules say (privacy rules R1–R16).

``scheduler`` runs the jobs, ``leader`` sees that one process does. ``purge`` is the sweep of recordings: ``due`` asks
and claims, ``brakes`` stops and asks, ``removal`` removes and proves, ``ledger`` forgets. ``call_log`` blanks
old calls. ``inventory`` is the register of all data; ``cli`` the commands.
"""
