"""What a store accepts as a key (S26): generated, plain, never a way out of the store."""

import re

from callcenter.errors import StoreRefused

_KEY = re.compile(r"[A-Za-z0-9_-]+(?:[./][A-Za-z0-9_-]+)*")
LONGEST_KEY = 200


def check_key(key: str) -> str:
    """The key itself, or StoreRefused when it is not made of plain words joined by ``/`` or ``.``."""
    if len(key) > LONGEST_KEY or not _KEY.fullmatch(key):
        raise StoreRefused("This is not a key of the recording store; keys are made by the service, never typed.")
    return key
