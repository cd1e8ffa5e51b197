"""Do database, store and carrier agree (R14)? Compares both ways, reports, and repairs what can safely be repaired.

``run`` is what the command and the scheduler call. ``calls`` compares the carrier's calls with the log, ``copies`` its
recordings with our rows, ``objects`` the store with our rows. ``report`` counts what was found; ``deletions`` holds
deletions back until it is known how many there are (R11). Every pass works through lists page by page, in constant
memory, and every repair may run twice, or by two processes at once.
"""
