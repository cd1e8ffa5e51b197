"""Telephone numbers: stored as E.164, shown in national form, and never trusted when a caller withheld hers."""

import re

import phonenumbers
from phonenumbers import NumberParseException, PhoneNumber, PhoneNumberFormat, ValidationResult

from callcenter.errors import BadInput

HOME_REGION = "GB"
HOME_COUNTRY_CODE = 44
WITHHELD_TEXT = "withheld"

_TYPED = re.compile(r"\+?[0-9 ()./\u00a0\u2010-\u2015-]{3,40}")
_E164 = re.compile(r"\+[0-9]{5,15}")

_KEYPAD_PLACEHOLDERS = frozenset({"+266696687", "+7378742833", "+2562533", "+8656696", "+86282452253"})
"""ANONYMOUS, RESTRICTED, BLOCKED, UNKNOWN and UNAVAILABLE spelt on a keypad; two of them look possible (§3.3)."""


def normalise(raw: str, region: str = HOME_REGION, *, field: str = "The number") -> str:
    """A number that somebody typed, as E.164; without ``+`` it is read as a number of ``region``.

    Raises BadInput, which begins with ``field`` and never repeats the number.
    """
    number = _parse(raw.strip(), region) if _TYPED.fullmatch(raw.strip()) else None
    if number is None or _e164(number) in _KEYPAD_PLACEHOLDERS:
        raise BadInput(f"{field} must be a telephone number such as +441632960011.")
    return _e164(number)


def caller_number(raw: str | None) -> str | None:
    """The carrier's ``From`` as E.164, or None when it is withheld, a placeholder or unusable (twilio-voice §3.3).

    None is never joined with anything and never used as a key: it would merge unrelated callers. Words, ``client:``
    and ``sip:`` addresses and numbers without ``+`` are unusable. Possible is enough: new ranges come before lists do.
    """
    if raw is None or not _E164.fullmatch(raw):
        return None
    number = _parse(raw, None)
    if number is None or _e164(number) in _KEYPAD_PLACEHOLDERS:
        return None
    return _e164(number)


def display(e164: str | None) -> str:
    """How people read it: national form at home, international form elsewhere, ``withheld`` for None."""
    if e164 is None:
        return WITHHELD_TEXT
    number = _parse(e164, None)
    if number is None:
        return e164
    at_home = number.country_code == HOME_COUNTRY_CODE
    form = PhoneNumberFormat.NATIONAL if at_home else PhoneNumberFormat.INTERNATIONAL
    return phonenumbers.format_number(number, form)


def _parse(raw: str, region: str | None) -> PhoneNumber | None:
    try:
        number = phonenumbers.parse(raw, region)
    except NumberParseException:
        return None
    possible = phonenumbers.is_possible_number_with_reason(number) == ValidationResult.IS_POSSIBLE
    return number if possible and not number.extension else None


def _e164(number: PhoneNumber) -> str:
    return phonenumbers.format_number(number, PhoneNumberFormat.E164)
