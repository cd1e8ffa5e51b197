"""The job process: dispatches calls, tells the carrier what has changed, copies recordings, sweeps what got stuck.

Any number may run. All work is found in the database and claimed there; nothing in memory matters.

- ``loop``      the process: wakes, ticks, hands commands to threads
- ``lifeline``  knowing at once that another worker has died
- ``wake``      sleeping until the database has changed
- ``tick``      deadlines and dispatch: what is due now
- ``execute``   claims one command, runs its handler, records the result
- ``rings``, ``talks``, ``endings``   the handlers, one function per kind of command
"""
