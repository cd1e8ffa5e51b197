"""A pretend Twilio for development and tests: reached only over HTTP, imports nothing else of ours.

Three ways in, all on one loopback port:

- ``/2010-04-01/…``: Twilio's REST API as far as this product uses it; anything else is refused loudly (rest*.py)
- ``/simulator/…``: JSON control API: place calls, describe softphones, cause trouble (control.py)
- ``/``: the inspector page, and ``/healthz``

A call: ``calling`` or ``rest_calls`` makes a leg, ``ringing`` finds out who answers, ``twiml_runner.live`` gets
documents through ``outbound`` and runs their verbs (``verbs_*``), ``legs`` keeps its status and tells about it,
``parties`` plays the people, ``sounds`` moves what they say, ``recordings`` writes it down. ``carrier`` holds all
state; everything runs on one event loop. Refusals and complaints carry Twilio's codes and are kept in ``journal``.
"""
