"""The version before a migration works on the schema after it (F31): migrations expand, and contract later."""

import ast
import io
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from callcenter.migrating import MIGRATIONS
from tests.conventions.project import VERSIONS

FIRST = "0001_first_schema.py"
"""Nothing was before it."""
LATER = sorted(file for file in VERSIONS.glob("*.py") if file.name != FIRST)
CONTRACTS = "Contracts: "
TAKES_AWAY = {"drop_column", "drop_table", "drop_index", "drop_constraint"}
NEVER = {"rename_table", "rename_column"}
CHANGES = {"type_", "new_column_name"}


def test_no_migration_takes_anything_away_that_the_version_before_may_use() -> None:
    assert {file.name: found for file in LATER if (found := list(faults_of(file.read_text())))} == {}


@pytest.mark.parametrize(
    ("step", "fault"),
    [
        ('op.drop_column("calls", "turn")', "drop_column without"),
        ('op.rename_table("calls", "talks")', "rename_table"),
        ('op.alter_column("calls", "turn", new_column_name="round")', "alter_column"),
        ('op.alter_column("calls", "turn", nullable=False)', "alter_column"),
        ('op.add_column("calls", sa.Column("note", sa.Text(), nullable=False))', "add_column"),
        ('op.drop_index("ix_calls_turn", "calls")', "drop_index without"),
        ('batch.add_column(sa.Column("note", sa.Text(), nullable=False))', "add_column"),
    ],
)
def test_what_would_break_the_version_before_is_found(step: str, fault: str) -> None:
    (found,) = faults_of(f"def upgrade():\n    {step}\n")
    assert found.startswith(fault)


@pytest.mark.parametrize(
    "step",
    [
        'op.add_column("calls", sa.Column("note", sa.Text(), nullable=True))',
        'op.add_column("calls", sa.Column("n", sa.Integer(), nullable=False, server_default="0"))',
        'op.create_table("notes", sa.Column("id", sa.Text(), nullable=False))',
    ],
)
def test_what_the_version_before_does_not_notice_is_let_through(step: str) -> None:
    assert list(faults_of(f"def upgrade():\n    {step}\n")) == []


def test_what_was_unused_for_a_release_may_go() -> None:
    text = '"""Contracts: calls.turn, unused since 0.3."""\ndef upgrade():\n    op.drop_column("calls", "turn")\n'
    assert list(faults_of(text)) == []


@pytest.mark.parametrize("file", LATER, ids=lambda file: file.stem)
def test_on_postgresql_an_index_of_a_table_in_use_is_built_beside_its_writers(file: Path) -> None:
    assert in_the_way(postgresql_of(file.stem[:4])) == []


def test_an_index_that_keeps_writers_waiting_is_found() -> None:
    assert in_the_way(
        "CREATE TABLE notes (id TEXT);\nCREATE INDEX a ON notes (id);\nCREATE INDEX b ON calls (id);"
    ) == ["b"]


def postgresql_of(revision: str) -> str:
    """What a migration says to PostgreSQL."""
    said = io.StringIO()
    context = MigrationContext.configure(
        dialect_name="postgresql", opts={"as_sql": True, "output_buffer": said, "transaction_per_migration": True}
    )
    with Operations.context(context), context.begin_transaction():
        ScriptDirectory(str(MIGRATIONS)).get_revision(revision).module.upgrade()
    return said.getvalue()


def in_the_way(sql: str) -> list[str]:
    """The indexes that are built in one go although their tables were there before."""
    new = set(re.findall(r"CREATE TABLE (\w+)", sql))
    built = re.findall(r"CREATE (?:UNIQUE )?INDEX (?!CONCURRENTLY)(\w+) ON (\w+)", sql)
    return [index for index, table in built if table not in new]


def faults_of(text: str) -> Iterator[str]:
    """What in a migration breaks the version before it."""
    module = ast.parse(text)
    contracts = CONTRACTS in (ast.get_docstring(module) or "")
    upgrades = [node for node in module.body if isinstance(node, ast.FunctionDef) and node.name == "upgrade"]
    calls = [node for upgrade in upgrades for node in ast.walk(upgrade) if isinstance(node, ast.Call)]
    made_anew = {ast.dump(call.args[0]) for call in calls if _name(call) == "create_index"}
    for call in calls:
        name = _name(call)
        keywords = {keyword.arg: keyword.value for keyword in call.keywords}
        if name in NEVER:
            yield f"{name}: nothing is renamed"
        elif name == "drop_index" and ast.dump(call.args[0]) in made_anew:
            continue  # what a broken-off attempt left
        elif name in TAKES_AWAY and not contracts:
            yield f"{name} without `{CONTRACTS}` in the docstring"
        elif name == "alter_column" and (CHANGES & set(keywords) or _is_false(keywords.get("nullable"))):
            yield "alter_column: another column instead"
        elif name == "add_column":
            yield from _of_new_column(call)


def _name(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else ""


def _of_new_column(call: ast.Call) -> Iterator[str]:
    for column in (one for one in call.args if isinstance(one, ast.Call)):
        keywords = {keyword.arg: keyword.value for keyword in column.keywords}
        if _is_false(keywords.get("nullable")) and "server_default" not in keywords:
            yield "add_column: the version before cannot insert without it"


def _is_false(value: ast.expr | None) -> bool:
    return isinstance(value, ast.Constant) and value.value is False
