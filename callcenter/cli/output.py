"""How commands answer: JSON with ``--json``, lines for people without; sentences about errors go to stderr."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])


def json_option(command: Command) -> Command:
    """The ``--json`` switch, as parameter ``json_output``."""
    return click.option("--json", "json_output", is_flag=True, help="Answer in JSON.")(command)


def emit(data: Any, json_output: bool, lines: Iterable[str]) -> None:
    """Print ``data`` as one JSON document, or the lines. Times become RFC 3339 in UTC."""
    if json_output:
        click.echo(_shown(json.dumps(data, ensure_ascii=False, indent=2, default=_plain), keep="\n"))
    else:
        for line in lines:
            click.echo(_shown(line))


def _shown(text: str, keep: str = "") -> str:
    """The text with every character escaped that a terminal would obey instead of showing it (S28): somebody's name
    must not move the cursor, turn the line around or begin another one. Such escapes are those of JSON too."""
    return "".join(c if c.isprintable() or c in keep else json.dumps(c)[1:-1] for c in text)


def table(items: Sequence[Mapping[str, Any]], columns: Mapping[str, str], *, nothing: str) -> list[str]:
    """The items in columns of even width, or the sentence ``nothing``; ``columns`` maps heading to the item's key."""
    if not items:
        return [nothing]
    lines = [list(columns), *([cell(item[key]) for key in columns.values()] for item in items)]
    widths = [max(len(line[number]) for line in lines) for number in range(len(columns))]
    return ["  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip() for line in lines]


def cell(value: object) -> str:
    """A value as people read it: ``-`` for None, yes or no, times in UTC, lists side by side."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return _plain(value)
    if isinstance(value, list):
        return " ".join(map(cell, value)) or "-"
    if isinstance(value, dict):
        return ", ".join(f"{name} {cell(part)}" for name, part in value.items() if part is not None)
    return str(value)


def _plain(value: object) -> str:
    from callcenter.domain.moments import show_moment

    if isinstance(value, datetime):
        return str(show_moment(value))
    raise TypeError(f"{type(value).__name__} is no JSON")
