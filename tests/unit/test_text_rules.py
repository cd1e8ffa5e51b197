"""Typed texts carry no control characters, no card numbers, and stay short."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callcenter.domain.text_rules import clean_email, clean_optional_text, clean_text, holds_card_number
from callcenter.errors import BadInput


def test_a_text_loses_the_white_space_around_it_and_nothing_else() -> None:
    assert clean_text("  Zoë O'Brien-Łuk <b> ", field="The name", limit=40) == "Zoë O'Brien-Łuk <b>"


def test_the_same_name_in_another_encoding_is_the_same_name() -> None:
    assert clean_text("Zoe\u0308", field="The name", limit=40) == "Zoë"


def test_a_text_may_fill_its_limit_and_not_more() -> None:
    assert clean_text("x" * 40, field="The name", limit=40)
    with pytest.raises(BadInput, match=r"^The name must have at most 40 characters\.$"):
        clean_text("x" * 41, field="The name", limit=40)


@pytest.mark.parametrize("text", ["", "   ", "\n", "\u200b", "\u0301"])
def test_a_text_that_shows_nothing_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match=r"^The name must not be empty\.$"):
        clean_text(text, field="The name", limit=40)


@pytest.mark.parametrize("character", ["\x00", "\n", "\x1b", "\x7f", "\x85", "\u202e", "\u2028", "\ud800"])
def test_characters_that_steer_are_refused(character: str) -> None:
    with pytest.raises(BadInput, match="control characters"):
        clean_text(f"a{character}b", field="The name", limit=40)


def test_a_note_may_have_lines() -> None:
    assert clean_text("one\ntwo", field="The note", limit=40, lines=True) == "one\ntwo"


@pytest.mark.parametrize("blank", [None, "", " \n"])
def test_an_optional_text_may_be_missing(blank: str | None) -> None:
    assert clean_optional_text(blank, field="The note", limit=40) is None


CARDS = ["4111111111111111", "4111 1111 1111 1111", "4111-1111-1111-1111", "4111.1111.1111.1111", "378282246310005",
         "3782 822463 10005", "5555 5555 5555 4444", "6011111111111117", "4222222222222", "4111  1111 – 1111  1111",
         "４１１１１１１１１１１１１１１１", "4111\u200b1111\u200b1111\u200b1111", "4111\u00ad1111\u00ad1111\u00ad1111",
         "4111_1111_1111_1111", "4111,1111,1111,1111", "4111:1111:1111:1111", "4111|1111|1111|1111",
         "4111\u22121111\u22121111\u22121111", "4111 - - 1111 - - 1111 - - 1111", "4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1",
         "4\u200b11111111111111\u00ad1", "+4111111111111111", "+4111 1111 1111 1111"]  # fmt: skip


@pytest.mark.parametrize("card", CARDS)
@pytest.mark.parametrize("around", ["{}", "card {} exp 12/27", "ref 12 {}", "{}."])
def test_a_card_number_is_refused_wherever_it_stands(card: str, around: str) -> None:
    with pytest.raises(BadInput, match=r"must not contain a card number"):
        clean_text(around.format(card), field="The note", limit=300)


@pytest.mark.parametrize(
    "text",
    [
        "4111111111111112",
        "411111111111",
        "07700 900123",
        "room 12, 14:30 on 2026-03-02",
        "1 2 3",
        "41111111111111111111",
    ],
)
def test_other_digits_are_allowed(text: str) -> None:
    assert clean_text(text, field="The note", limit=300) == text


@pytest.mark.parametrize("number", ["+4915112345670", "+8613812345678", "+5511987654321", "+447700900123"])
@pytest.mark.parametrize("around", ["{}", "ring {} at 14:30", "{}, 2026-03-02", "+447700900123 / {}"])
def test_a_telephone_number_is_no_card_number(number: str, around: str) -> None:
    text = around.format(number)
    assert clean_text(text, field="The note", limit=300) == text


@given(st.text(max_size=300))
def test_no_text_makes_the_card_check_fail(text: str) -> None:
    assert holds_card_number(text) in (True, False)


def test_an_address_is_kept_in_small_letters() -> None:
    assert clean_email(" Rosie@Example.ORG ") == "rosie@example.org"


@pytest.mark.parametrize(
    "address", ["", "rosie", "rosie@", "@example.org", "rosie@example", "a b@example.org", "a@b@example.org",
                "a\n@example.org", "rosie@-example.org", "rosie@exämple.org", "x" * 250 + "@example.org"]
)  # fmt: skip
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(BadInput, match="must look like"):
        clean_email(address)


@pytest.mark.parametrize("address", ["4111111111111111@example.org", "ann.4111-1111-1111-1111@example.org",
                                     "ann@4111111111111111.example.org"])  # fmt: skip
def test_an_address_is_no_place_for_a_card_number(address: str) -> None:
    with pytest.raises(BadInput, match="must not contain a card number"):
        clean_email(address)
