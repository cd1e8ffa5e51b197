"""Attacks come in two lengths: a short one in every test run, a long one with ``make faults`` (CAMPAIGN=long).

A test that attacks carries ``@pytest.mark.campaign``, takes its size from ``runs``, and tells through the ``figures``
fixture how often it attacked and how often the service held; the figures are printed at the end of a long run and stand
in docs/reliability.md.
"""

import os

LONG = os.environ.get("CAMPAIGN") == "long"


def runs(short: int, long: int) -> int:
    """How often to attack: ``short`` in every test run, ``long`` in a campaign."""
    return long if LONG else short
