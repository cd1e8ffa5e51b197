"""What may stand in a text that people type: no control characters, no card numbers, never too long."""

import re
import unicodedata
from collections.abc import Iterator

from callcenter.domain.phone_numbers import caller_number
from callcenter.errors import BadInput

LONGEST_EMAIL = 254

_BIDI_CONTROLS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""They make a text read differently from what it says."""
_FORBIDDEN_CATEGORIES = frozenset({"Cc", "Cs", "Cn", "Co", "Zl", "Zp"})
_DIGIT_GROUPS = re.compile(r"[0-9]+(?:[\W_]{1,5}[0-9]+)*")
"""Digits with up to five signs that are neither letter nor digit between them."""
_E164 = re.compile(r"(?<!\w)\+[0-9]{5,15}(?!\d)")
_CARD_DIGITS = range(13, 20)
_EMAIL = re.compile(
    r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]{2,63}"
)


def clean_text(value: str, *, field: str, limit: int, lines: bool = False) -> str:
    """The text without white space around it, in composed Unicode, or BadInput that names ``field``.

    Refused are: nothing at all, more than ``limit`` characters, control and direction characters (line breaks are
    allowed with ``lines``), and card numbers (P38).
    """
    text = unicodedata.normalize("NFC", value.strip()) if len(value) <= 4 * limit + 100 else value
    if not any(unicodedata.category(character)[0] in "LNPS" for character in text):
        raise BadInput(f"{field} must not be empty.")
    if len(text) > limit:
        raise BadInput(f"{field} must have at most {limit} characters.")
    if any(_is_forbidden(character, lines=lines) for character in text):
        raise BadInput(f"{field} must not contain control characters.")
    if holds_card_number(text):
        raise BadInput(f"{field} must not contain a card number.")
    return text


def clean_optional_text(value: str | None, *, field: str, limit: int, lines: bool = False) -> str | None:
    """As ``clean_text``; None or only white space becomes None."""
    if value is None or not value.strip():
        return None
    return clean_text(value, field=field, limit=limit, lines=lines)


def clean_email(value: str, *, field: str = "The email address") -> str:
    """A lower-case address of the usual shape, or BadInput, also for one that holds a card number (P38)."""
    address = value.strip()
    if len(address) > LONGEST_EMAIL or not _EMAIL.fullmatch(address):
        raise BadInput(f"{field} must look like name@example.org and have at most {LONGEST_EMAIL} characters.")
    if holds_card_number(address):
        raise BadInput(f"{field} must not contain a card number.")
    return address.lower()


def holds_card_number(text: str) -> bool:
    """Whether whole groups of digits, with or without signs between them, make 13 to 19 digits that pass the card
    check (P38). Telephone numbers in E.164 count as words: one in ten would pass the check by chance."""
    visible = (_plain_digit(character) for character in text if unicodedata.category(character) != "Cf")
    plain = _E164.sub(_word_for_number, unicodedata.normalize("NFKC", "".join(visible)))
    return any(_passes_card_check(digits) for run in _DIGIT_GROUPS.findall(plain) for digits in _candidates(run))


def _plain_digit(character: str) -> str:
    return str(unicodedata.decimal(character)) if character.isdecimal() else character


def _word_for_number(found: re.Match[str]) -> str:
    return found.group() if caller_number(found.group()) is None else "number"


def _candidates(run: str) -> Iterator[str]:
    groups = re.findall("[0-9]+", run)
    for first in range(len(groups)):
        digits = ""
        for group in groups[first:]:
            digits += group
            if len(digits) in _CARD_DIGITS:
                yield digits
            if len(digits) >= _CARD_DIGITS.stop:
                break


def _passes_card_check(digits: str) -> bool:
    """The Luhn check: every second digit from the right counts double."""
    doubled = (int(digit) * (1 + place % 2) for place, digit in enumerate(reversed(digits)))
    return sum(value - 9 if value > 9 else value for value in doubled) % 10 == 0


def _is_forbidden(character: str, *, lines: bool) -> bool:
    if lines and character in "\n\r":
        return False
    return character in _BIDI_CONTROLS or unicodedata.category(character) in _FORBIDDEN_CATEGORIES
