"""Every durable step can be made to die after it, and is (F17): a step without a crash point is found here."""

import ast
import inspect
from collections import Counter
from collections.abc import Iterator

import pytest

from callcenter import ports
from callcenter.crash_points import POINTS
from tests.conventions.project import PRODUCT, ROOT, name_of, python_files
from tests.faults.kills.attacks import COPIED, HOLDS, RECONCILED, REPLAYED, SWEPT
from tests.faults.kills.call_stories import STORIES

STEPS_ARE_IN = ("callcenter/worker", "callcenter/services", "retention", "webhooks")
READING = {
    ports.Carrier: {
        *("call", "rings_since", "conference", "participants", "recordings_of", "recording", "open_media", "check"),
        *("inbound_calls", "forwarded_legs", "recordings_between"),
    },
    ports.RecordingStore: {"stat", "read", "versions", "contents", "unfinished_uploads", "check"},
}
"""What changes nothing outside. Every other method of a port is a durable step."""
CHANGING = {
    name
    for port, reading in READING.items()
    for name, _ in inspect.getmembers(port, inspect.isfunction)
    if not name.startswith("_") and name not in reading
}
EXCEPTIONS = {
    "callcenter/services/jobs.py": "a heartbeat says that a job ran; the next run writes another",
}

Function = ast.FunctionDef | ast.AsyncFunctionDef


def test_every_durable_step_registers_a_crash_point() -> None:
    files = [file for file in python_files(*STEPS_ARE_IN) if name_of(file) not in EXCEPTIONS]
    assert {name_of(file): found for file in files if (found := steps_without_a_point(file.read_text()))} == {}


def test_every_point_is_used_exactly_once_and_every_used_name_is_a_point() -> None:
    used = Counter(name for file in python_files(*PRODUCT) for name in _points(ast.parse(file.read_text())))
    assert used == Counter(dict.fromkeys(POINTS, 1))


def test_every_point_is_attacked() -> None:
    told = [point for story in STORIES.values() for point in story.points]
    assert sorted([*SWEPT, *HOLDS, *COPIED, *RECONCILED, *REPLAYED, *told]) == sorted(POINTS)


@pytest.mark.parametrize(
    "step",
    [
        "def step(engine):\n    with transaction(engine, wake=False) as session:\n        session.add(1)",
        "def step(engine):\n    with reading(engine), transaction(engine):\n        pass",
        "def step(job):\n    job.carrier.end_call('CA1')",
        "class Part:\n    def step(self):\n        return self._store.put('key', [])",
        "def step(store):\n    answers = store.delete(['key'])",
    ],
)
def test_a_new_step_without_a_point_is_found(step: str) -> None:
    assert steps_without_a_point(step) == ["step"]
    where = step.rpartition("\n")[2]
    there = where[: len(where) - len(where.lstrip())]
    assert steps_without_a_point(f"{step}\n{there}crash_point('door.committed')") == []


@pytest.mark.parametrize(
    "text",
    [
        "def looks(engine):\n    with reading(engine) as session:\n        return session.get(1)",
        "def asks(job):\n    return job.carrier.call('CA1')",
        "def works(queue):\n    queue.put(1)",
    ],
)
def test_what_changes_nothing_outside_needs_no_point(text: str) -> None:
    assert steps_without_a_point(text) == []


def test_files_that_are_excepted_exist_and_have_steps() -> None:
    assert all(steps_without_a_point((ROOT / file).read_text()) for file in EXCEPTIONS)


def steps_without_a_point(text: str) -> list[str]:
    """The functions of a file that take a durable step and cannot be made to die."""
    return [
        function.name
        for function in _functions(ast.parse(text))
        if any(_is_step(node) for node in ast.walk(function)) and not list(_points(function))
    ]


def _functions(tree: ast.AST) -> Iterator[Function]:
    """Functions and methods; what is defined inside of one belongs to it."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, Function):
            yield node
        else:
            yield from _functions(node)


def _is_step(node: ast.AST) -> bool:
    if isinstance(node, ast.With):
        calls = [item.context_expr for item in node.items]
        return any(isinstance(call, ast.Call) and _last_name(call.func) == "transaction" for call in calls)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in CHANGING:
        return _last_name(node.func.value).lstrip("_") in ("carrier", "store")
    return False


def _points(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _last_name(node.func) == "crash_point":
            (name,) = node.args
            yield ast.literal_eval(name)


def _last_name(node: ast.AST) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""
