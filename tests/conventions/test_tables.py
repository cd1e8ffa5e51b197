"""Tables keep the rules that no single feature would think of."""

from sqlalchemy import DateTime

from callcenter.models import Base, new_id
from callcenter.models.base import UtcDateTime

OF_NO_SINGLE_CLINIC = {
    "api_keys": "a key may reach several clinics (api_key_clinics)",
    "clinics": "the clinic itself",
    "job_heartbeats": "jobs serve all clinics",
    "receptionists": "a receptionist may serve several clinics (assignments)",
    "replayed_calls": "only a keyed hash of the carrier's id is kept",
    "switches": "state of the whole installation",
    "users": "a person may work for several clinics (assignments)",
}


def test_every_row_of_a_clinic_names_its_clinic() -> None:
    without = {table.name for table in Base.metadata.sorted_tables if "clinic_id" not in table.columns}
    assert without == set(OF_NO_SINGLE_CLINIC)


def test_every_time_is_stored_as_aware_utc() -> None:
    plain = [
        str(column)
        for table in Base.metadata.sorted_tables
        for column in table.columns
        if isinstance(column.type, DateTime) and not isinstance(column.type, UtcDateTime)
    ]
    assert plain == []


def test_a_time_is_recognised_by_its_name() -> None:
    others = [
        str(column)
        for table in Base.metadata.sorted_tables
        for column in table.columns
        if isinstance(column.type, UtcDateTime) and "at" not in column.name.split("_")
    ]
    assert others == []


def test_an_id_of_the_carrier_is_recognised_by_its_name() -> None:
    unmarked = [
        str(column)
        for table in Base.metadata.sorted_tables
        for column in table.columns
        if column.name.endswith("_sid") and not column.name.startswith("carrier_")
    ]
    assert unmarked == []


def test_every_id_of_ours_is_random_and_has_128_bits() -> None:
    """S14: uniqueness is not authorisation, but nobody should be able to count."""
    keys = [table.c.id for table in Base.metadata.sorted_tables if "id" in table.c]
    assert len(keys) > 15
    assert [str(key) for key in keys if getattr(getattr(key.default, "arg", None), "__name__", "") != "new_id"] == []
    made = [new_id() for _ in range(10_000)]
    assert len(set(made)) == len(made)
    assert {len(bytes.fromhex(one)) * 8 for one in made} == {128}
    assert sorted(made) != made
