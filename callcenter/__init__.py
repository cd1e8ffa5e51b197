"""The call-handling service: a clinic's call from ring to purge.

One line per part, in the direction in which imports may point (docs/decisions/0001-layers.md):

- ``cli``        commands; the only part that opens the simulator
- ``web``        pages and the JSON API for people
- ``worker``     the process that dispatches calls, talks to the carrier and copies recordings
- ``simulator``  a pretend carrier, reached only over HTTP
- ``wiring``     picks the real or the local parts from the settings
- ``services``   use cases: verbs that take a session
- ``carrier``    the only code that knows Twilio
- ``storage``    the only code that knows S3
- ``ports``      what leaves the machine, as protocols
- ``models``     tables and migrations
- ``db``         engine and transactions
- ``config``     settings
- ``logs``       structured logs without personal data
- ``domain``     pure rules: values in, values out
- ``clock``      the only reader of the clock
- ``errors``     the exception tree
"""
