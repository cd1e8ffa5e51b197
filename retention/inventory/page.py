"""The register as a page."""

from collections.abc import Iterator

from retention.inventory import ELSEWHERE, TABLES
from retention.inventory.entries import Sensitivity, Table

_HEAD = """\
# Data map

Every piece of data this service keeps: why, how sensitive it is, how long, and who may see it. **This page is printed
from the register in `retention/inventory/`; change that, then run** `python -m retention.inventory > docs/data-map.md`.

Sensitivity: none · personal · special (may tell about health) · secret (proof of identity, never shown).
"""


def data_map() -> str:
    """docs/data-map.md."""
    return "\n".join((_HEAD, *_overview(), *_details()))


def _overview() -> Iterator[str]:
    yield "| place | what for | most sensitive | kept | legal basis |"
    yield "|---|---|---|---|---|"
    for table in (*TABLES, *ELSEWHERE):
        yield f"| `{table.name}` | {table.purpose} | {table.sensitivity} | {table.retention} | {table.basis} |"
    yield ""


def _details() -> Iterator[str]:
    for title, tables in (("In the database", TABLES), ("Elsewhere", ELSEWHERE)):
        yield f"## {title}\n"
        for table in tables:
            yield from _detail(table)


def _detail(table: Table) -> Iterator[str]:
    yield f"### {table.name}\n"
    yield f"{_sentence(table.purpose)}. Kept: {table.retention}. Seen by: {table.seen_by}.\n"
    if not table.fields:
        return
    yield "| field | purpose | sensitivity | kept | seen by |"
    yield "|---|---|---|---|---|"
    for field in table.fields:
        level = f"**{field.sensitivity}**" if field.sensitivity != Sensitivity.NONE else "none"
        yield f"| `{field.name}` | {field.purpose} | {level} | {field.retention or '·'} | {field.seen_by or '·'} |"
    yield ""


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
