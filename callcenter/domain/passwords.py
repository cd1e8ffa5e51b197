"""Passwords: long, and not among those that everybody tries first (S18)."""

from callcenter.errors import BadInput

SHORTEST_PASSWORD = 12
LONGEST_PASSWORD = 200
FEWEST_DIFFERENT_CHARACTERS = 5

_TRIED_FIRST = (
    "password", "passw0rd", "qwertyuiop", "qwerty", "asdfghjkl", "zxcvbnm", "1q2w3e4r5t", "iloveyou", "letmein",
    "welcome", "administrator", "changeme", "correcthorsebatterystaple", "trustno1", "sunshine", "princess", "football",
    "123456789", "1234567890", "987654321", "abcdefghijkl", "callcenter", "receptionist", "clinic",
)  # fmt: skip
"""Stems of the passwords that lead the published lists of broken-into accounts."""


def check_password(password: str, *, email: str) -> None:
    """Raise BadInput when a password is too short, too long, or one of the first that anybody would try.

    Tried first are the well-known stems and the person's own address, also when digits or signs stand around them,
    and digits alone.
    """
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        raise BadInput(f"The password must have {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters.")
    plain = password.lower().replace(" ", "")
    stem = plain.strip("0123456789!?.,-_*#+$%&@")
    known = {*_TRIED_FIRST, email, email.split("@", maxsplit=1)[0]}
    repeated = any(stem == word * times for word in known for times in (1, 2, 3))
    if not stem or repeated or plain in known or len(set(password)) < FEWEST_DIFFERENT_CHARACTERS:
        raise BadInput("The password is too easy to guess; take several unrelated words.")
