"""The line to a PostgreSQL server, which can be cut, frozen, slow, or lost just when a commit is on it."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from sqlalchemy import make_url

COMMIT = b"COMMIT\x00"
"""As it stands in the message that asks for it."""


@dataclass(eq=False)
class _Link:
    """One connection through the line."""

    client: socket.socket
    server: socket.socket
    flows: threading.Event = field(default_factory=threading.Event)
    answer_lost: bool = False

    def close(self) -> None:
        for end in (self.client, self.server):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        self.flows.set()


class Line:
    """Listens on this machine and passes everything on to the server of ``url``."""

    def __init__(self, url: str) -> None:
        parsed = make_url(url)
        folder, port = str(parsed.query["host"]), parsed.query.get("port", parsed.port or 5432)
        self._target = f"{folder}/.s.PGSQL.{port}"
        self._links: set[_Link] = set()
        self._guard = threading.Lock()
        self._frozen = False
        self.delay_seconds = 0.0
        self.lose_commits: list[str] = []
        """What happens to the next commits, one after the other: ``before`` breaks the connection before the server
        hears of it, ``after`` when the server has done it, anything else lets it through."""
        self._listener = self._listen(0)
        self.port: int = self._listener.getsockname()[1]
        self.url = parsed.set(host="127.0.0.1", port=self.port, query={}).render_as_string(hide_password=False)

    def cut(self) -> None:
        """Connections break, new ones are refused."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.drop()

    def mend(self) -> None:
        """New connections work again."""
        self._listener = self._listen(self.port)

    def drop(self) -> None:
        """Connections break."""
        with self._guard:
            links, self._links = self._links, set()
        for link in links:
            link.close()

    def freeze(self) -> None:
        """Everything is taken and nothing is answered."""
        with self._guard:
            self._frozen = True
            for link in self._links:
                link.flows.clear()

    def thaw(self) -> None:
        """What was taken goes on."""
        with self._guard:
            self._frozen = False
            for link in self._links:
                link.flows.set()

    def abandon(self) -> None:
        """As behind a server that was replaced without a word: old connections stay silent for ever, new ones work."""
        with self._guard:
            self._frozen = False
            for link in self._links:
                link.flows.clear()

    def _listen(self, port: int) -> socket.socket:
        listener = socket.create_server(("127.0.0.1", port))
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()
        return listener

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            server = socket.socket(socket.AF_UNIX)
            server.connect(self._target)
            link = _Link(client, server)
            with self._guard:
                self._links.add(link)
                if not self._frozen:
                    link.flows.set()
            for ends in ((client, server), (server, client)):
                threading.Thread(target=self._pump, args=(link, *ends), daemon=True).start()

    def _pump(self, link: _Link, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                link.flows.wait()
                if self.delay_seconds:
                    time.sleep(self.delay_seconds)
                if link.answer_lost and source is link.server:
                    break
                if source is link.client and COMMIT in data and self.lose_commits:
                    fate = self.lose_commits.pop(0)
                    if fate == "before":
                        break
                    link.answer_lost = fate == "after"
                target.sendall(data)
        link.close()
        with self._guard:
            self._links.discard(link)


@contextmanager
def line_to(url: str) -> Iterator[Line]:
    """A line that is there for the length of the block."""
    line = Line(url)
    try:
        yield line
    finally:
        line.cut()
