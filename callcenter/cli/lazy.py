"""Commands that are imported when they are used: ``callcenter --help`` must not load what it does not run."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import entry_points

import click

ENTRY_POINTS = "callcenter.commands"
"""Group of the entry points through which packages above this one bring their commands (a list each)."""


@dataclass(frozen=True)
class Lazy:
    """Where a command is: ``module:name``, or ``entry point:command`` with ``found``; and its line in ``--help``."""

    where: str
    summary: str
    found: bool = False
    hidden: bool = False

    def load(self) -> click.Command:
        """Import the command."""
        place, _, name = self.where.partition(":")
        command: click.Command
        if self.found:
            (entry,) = entry_points(group=ENTRY_POINTS, name=place)
            command = next(one for one in entry.load() if one.name == name)
        else:
            command = getattr(import_module(place), name)
        return command


class LazyGroup(click.Group):
    """A group that knows its commands by name and summary until one of them is called."""

    lazy: Mapping[str, Lazy] = {}

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, in alphabetical order."""
        return sorted(self.lazy)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command; None when there is none of this name."""
        return self.lazy[cmd_name].load() if cmd_name in self.lazy else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write names and summaries without importing anything."""
        shown = [(name, self.lazy[name].summary) for name in self.list_commands(ctx) if not self.lazy[name].hidden]
        with formatter.section("Commands"):
            formatter.write_dl(shown)
