"""What an entry of the data register says."""

from dataclasses import dataclass
from enum import StrEnum


class Sensitivity(StrEnum):
    """``special`` is data about health in the sense of the law; recordings may hold it although no field does (L12)."""

    NONE = "none"
    PERSONAL = "personal"
    SPECIAL = "special"
    SECRET = "secret"  # noqa: S105 - the word, not a password


NONE, PERSONAL, SPECIAL, SECRET = Sensitivity

BY_CONTRACT = "contract with the clinic, on its instruction"
BY_LAW = "legal duty to account for what was done"
BY_INTEREST = "running the service safely"

WITH_CLINIC = "as long as the clinic is a customer"
WITH_CALL_LOG = "blanked with the call, 365 days unless the clinic chose otherwise"
COUNTS = "kept: counts only, leads to nobody once the call is blanked"

CLINIC_STAFF = "the clinic; supervisors and receptionists assigned to it"
RECEPTIONISTS_TOO = "receptionists for calls they handled, supervisors, the clinic"
NOBODY = "nobody: used by the service itself"
OPERATORS = "operators"


@dataclass(frozen=True)
class Field:
    """One column, log field or cookie. ``retention`` and ``seen_by`` None mean those of the table."""

    name: str
    purpose: str
    sensitivity: Sensitivity = NONE
    retention: str | None = None
    seen_by: str | None = None


@dataclass(frozen=True)
class Table:
    """A place where data is kept: a table, a store prefix, the log."""

    name: str
    purpose: str
    basis: str
    retention: str
    seen_by: str
    fields: tuple[Field, ...]

    @property
    def sensitivity(self) -> Sensitivity:
        """The highest of its fields."""
        return max((field.sensitivity for field in self.fields), key=list(Sensitivity).index, default=NONE)


F = Field
"""Short, because the register is long."""
