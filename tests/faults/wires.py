"""Wires between processes and what they depend on: TCP connections passed on by this test, until it cuts them."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any, Literal

Cut = Literal["silence", "reset"]
"""``silence``: nothing comes through and nobody says so, as when a cable is pulled. ``reset``: refused at once."""
CHUNK_BYTES = 64 * 1024
PROBE_AFTER_SECONDS = 5
_Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass
class Wire:
    """One listening port; what connects to it reaches ``target``, a Unix socket or a port of this machine."""

    target: str | int
    host: str = "127.0.0.1"
    port: int = 0
    renamed: tuple[bytes, bytes] | None = None
    """What is said on the way there is said in other words: the simulator answers to this machine's own names only."""
    _open: asyncio.Event = field(default_factory=asyncio.Event)
    _refusing: bool = False
    _ends: set[asyncio.StreamWriter] = field(default_factory=set)
    _server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen."""
        self._open.set()
        self._server = await asyncio.start_server(self._serve, self.host, self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def cut(self, how: Cut) -> None:
        """From now on nothing comes through, new connections included."""
        self._open.clear()
        self._refusing = how == "reset"
        if self._refusing:
            await self.forget()

    async def mend(self) -> None:
        """Everything comes through again, also what was said in the meantime."""
        self._refusing = False
        self._open.set()

    async def forget(self) -> None:
        """Reset every connection, as a router does that has been restarted."""
        for end in list(self._ends):
            end.transport.abort()

    async def stop(self) -> None:
        """Nobody reaches anything any more."""
        if self._server is not None:
            self._server.close()
        await self.forget()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Only a connection whose other end has vanished is closed by us: databases probe theirs as well."""
        _probe(writer)
        if self._refusing:
            writer.transport.abort()
            return
        self._ends.add(writer)
        try:
            await self._open.wait()
            far = await self._reach()
        except OSError:
            writer.transport.abort()
            self._ends.discard(writer)
            return
        self._ends.add(far[1])
        pumps = {asyncio.create_task(self._pump(reader, far[1])), asyncio.create_task(self._pump(far[0], writer))}
        await asyncio.wait(pumps)
        for end in (writer, far[1]):
            end.close()
            self._ends.discard(end)

    async def _reach(self) -> _Streams:
        if isinstance(self.target, str):
            return await asyncio.open_unix_connection(self.target)
        return await asyncio.open_connection("127.0.0.1", self.target)

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(CHUNK_BYTES):
                await self._open.wait()
                sink.write(data.replace(*self.renamed) if self.renamed else data)
                await sink.drain()
        with contextlib.suppress(OSError, RuntimeError):
            if sink.can_write_eof():
                sink.write_eof()
            if source.exception():
                sink.transport.abort()


class Switchboard:
    """All wires of a test, on a thread of their own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._wires: list[Wire] = []
        self._thread = threading.Thread(target=self._loop.run_forever, name="wires", daemon=True)
        self._thread.start()

    def wire(self, target: str | int, host: str = "127.0.0.1") -> Wire:
        """A new wire that listens on ``host``."""
        wire = Wire(target, host)
        self._do(wire.start())
        self._wires.append(wire)
        return wire

    def cut(self, wire: Wire, how: Cut) -> None:
        """See Wire.cut."""
        self._do(wire.cut(how))

    def mend(self, wire: Wire, *, forgotten: bool = False) -> None:
        """See Wire.mend; ``forgotten``: connections from before are reset."""
        if forgotten:
            self._do(wire.forget())
        self._do(wire.mend())

    def stop(self) -> None:
        """Let go of everything."""
        self._do(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _end(self) -> None:
        for wire in self._wires:
            await wire.stop()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(20)


def _probe(writer: asyncio.StreamWriter) -> None:
    end = writer.get_extra_info("socket")
    end.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, PROBE_AFTER_SECONDS)
    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 2)
    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)
