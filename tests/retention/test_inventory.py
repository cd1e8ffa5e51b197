"""The register knows every piece of data, and the page is printed from it (P1, L1, L12)."""

from collections import Counter
from pathlib import Path

import pytest

from callcenter.logs import FIELDS
from callcenter.models import Base
from retention.inventory import ELSEWHERE, TABLES, Sensitivity, Table
from retention.inventory.page import data_map

PAGE = Path(__file__).resolve().parents[2] / "docs" / "data-map.md"
COLUMNS = {(table.name, column.name) for table in Base.metadata.sorted_tables for column in table.columns}
ENTRIES = Counter((table.name, field.name) for table in TABLES for field in table.fields)


def test_every_column_has_its_entry() -> None:
    assert COLUMNS - set(ENTRIES) == set()


def test_every_entry_has_its_column() -> None:
    assert set(ENTRIES) - COLUMNS == set()


def test_nothing_is_entered_twice() -> None:
    assert [entry for entry, count in ENTRIES.items() if count > 1] == []


def test_every_log_field_has_its_entry() -> None:
    assert {field.name for field in _elsewhere("log").fields} == set(FIELDS)


def test_every_entry_says_what_for_how_long_and_for_whom() -> None:
    silent = [
        (table.name, field.name)
        for table in (*TABLES, *ELSEWHERE)
        for field in table.fields
        if not (field.purpose and (field.retention or table.retention) and (field.seen_by or table.seen_by))
    ]
    assert silent == []


@pytest.mark.parametrize("place", ["recording store", "carrier"])
def test_audio_counts_as_special_although_no_field_is(place: str) -> None:
    assert _elsewhere(place).sensitivity == Sensitivity.SPECIAL


def test_what_names_or_reaches_a_person_is_not_called_harmless() -> None:
    telling = {"from_number", "email", "note", "criteria", "reason_text", "release_reason", "disposition_reason"}
    harmless = [
        (table.name, field.name)
        for table in TABLES
        for field in table.fields
        if field.sensitivity == Sensitivity.NONE
        and (field.name in telling or (field.name.startswith("carrier_") and field.name.endswith("_sid")))
    ]
    assert harmless == []


def test_hashes_and_secrets_of_people_are_secret() -> None:
    loose = [
        (table.name, field.name)
        for table in TABLES
        for field in table.fields
        if field.name.endswith(("password_hash", "_secret", "key_hash")) and field.sensitivity != Sensitivity.SECRET
    ]
    assert loose == []


def test_the_page_is_the_register() -> None:
    assert PAGE.read_text(encoding="utf-8") == data_map(), "Run: python -m retention.inventory > docs/data-map.md"


def _elsewhere(name: str) -> Table:
    return next(table for table in ELSEWHERE if table.name == name)
