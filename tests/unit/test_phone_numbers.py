"""Numbers are stored in one form, shown in another, and a withheld one is nobody's."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callcenter.domain.phone_numbers import caller_number, display, normalise
from callcenter.errors import BadInput

PLACEHOLDERS = ["+266696687", "+7378742833", "+2562533", "+8656696", "+86282452253"]


@pytest.mark.parametrize(
    "typed",
    ["+441632960011", "01632 960011", "01632-960-011", "(01632) 960011", "+44 1632 960011", " 0044 1632 960011 "],
)
def test_a_number_has_one_form_however_it_is_typed(typed: str) -> None:
    assert normalise(typed) == "+441632960011"


def test_a_number_without_prefix_is_read_in_the_region_that_is_asked_for() -> None:
    assert normalise("06 12 34 56 78", "FR") == "+33612345678"


@pytest.mark.parametrize(
    "typed",
    ["", " ", "123", "12345", "+", "++441632960011", "anonymous", "+44163296001100000", "0800 FLOWERS", "0" * 500,
     "01632 960011 ext 5", "+441632960011\n+441632960022", "+٤٤١٦٣٢٩٦٠٠١١", "client:rosie", *PLACEHOLDERS],
)  # fmt: skip
def test_what_is_no_telephone_number_is_refused(typed: str) -> None:
    with pytest.raises(BadInput, match=r"^The number must be a telephone number"):
        normalise(typed)


def test_a_refusal_does_not_repeat_the_number() -> None:
    with pytest.raises(BadInput) as refusal:
        normalise("07700 9001234567")
    assert "7700" not in str(refusal.value)


@pytest.mark.parametrize("number", ["+441632960011", "+447700900123", "+12025550123"])
def test_a_caller_who_shows_her_number_is_known_by_it(number: str) -> None:
    assert caller_number(number) == number


@pytest.mark.parametrize(
    "word", ["anonymous", "Anonymous", "RESTRICTED", "unknown", "Unavailable", "blocked", "Private"]
)
def test_a_caller_who_withholds_her_number_is_nobody(word: str) -> None:
    assert caller_number(word) is None


@pytest.mark.parametrize("number", PLACEHOLDERS)
def test_a_word_spelt_on_the_keypad_is_no_number(number: str) -> None:
    assert caller_number(number) is None


@pytest.mark.parametrize(
    "raw", [None, "", " ", "+", "+1", "+44", "client:receptionist_00", "sip:a@example.org", "07700900123",
            "447700900123", "+447700900123;x=1", "+44 7700 900123", "+999123456789", "+4477009001234567890"]
)  # fmt: skip
def test_what_the_carrier_could_not_read_is_nobody(raw: str | None) -> None:
    assert caller_number(raw) is None


@given(st.text(max_size=60))
def test_a_caller_number_is_e164_or_nothing_whatever_arrives(raw: str) -> None:
    number = caller_number(raw)
    assert number is None or (number.startswith("+") and number[1:].isascii() and number[1:].isdigit())


@given(st.integers(min_value=10**9, max_value=10**10 - 1).map(lambda digits: f"+44{digits}"))
def test_a_normalised_number_stays_as_it_is(number: str) -> None:
    try:
        once = normalise(number)
    except BadInput:
        return
    assert normalise(once) == once


def test_a_british_number_is_shown_as_people_write_it() -> None:
    assert display("+447700900123") == "07700 900123"


def test_a_foreign_number_is_shown_with_its_country() -> None:
    assert display("+12025550123") == "+1 202-555-0123"


def test_a_withheld_number_is_called_withheld() -> None:
    assert display(None) == "withheld"
