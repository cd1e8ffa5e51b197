"""A load balancer that does what deploy/nginx.conf asks of nginx, as a process of its own.

``python -m tests.faults.balancer PORT '{"doors": ["127.0.0.1:9001", …], "webs": […]}'``: the carrier's paths go to the
doors, everything else to the webs, in turn. What cannot be reached, breaks off, keeps silent or answers 503 is passed
over, and the request goes to the next one; whatever the service gets twice is harmless (F18).
"""

import asyncio
import itertools
import json
import sys
import time

CONNECT_SECONDS = 1.0
ANSWER_SECONDS = 8.0
AVOIDED_SECONDS = 2.0
UNAVAILABLE = b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
AGAIN_ELSEWHERE = b"503"
_BROKEN = (OSError, TimeoutError, asyncio.IncompleteReadError)


class Pool:
    """Servers of one kind, in turn; one that failed is left alone for a moment unless all have."""

    def __init__(self, servers: list[str]) -> None:
        self._servers = servers
        self._turn = itertools.count()
        self._avoided_until: dict[str, float] = {}

    def order(self) -> list[str]:
        """Whom to ask, one after another."""
        first = next(self._turn) % len(self._servers)
        turned = self._servers[first:] + self._servers[:first]
        return sorted(turned, key=lambda server: self._avoided_until.get(server, 0) > time.monotonic())

    def avoid(self, server: str) -> None:
        """It did not answer."""
        self._avoided_until[server] = time.monotonic() + AVOIDED_SECONDS


async def _serve(pools: dict[str, Pool], reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        path, request = await _read(reader)
        pool = pools["doors" if path.startswith((b"/webhooks/", b"/media/")) else "webs"]
        writer.write(await _ask(pool, request))
        await writer.drain()
    except (*_BROKEN, asyncio.LimitOverrunError, ValueError):
        pass
    finally:
        writer.close()


async def _read(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """The path, and the whole request as it goes on: byte for byte but for ``Connection``."""
    head = await reader.readuntil(b"\r\n\r\n")
    lines = head[:-4].split(b"\r\n")
    headers = [line for line in lines[1:] if not line.lower().startswith(b"connection:")]
    lengths = [int(line.partition(b":")[2]) for line in headers if line.lower().startswith(b"content-length:")]
    body = await reader.readexactly(lengths[0]) if lengths else b""
    head = b"\r\n".join([lines[0], *headers, b"Connection: close", b"", b""])
    return lines[0].split(b" ")[1], head + body


async def _ask(pool: Pool, request: bytes) -> bytes:
    answer = UNAVAILABLE
    for server in pool.order():
        try:
            answer = await _exchange(server, request)
        except _BROKEN:
            pool.avoid(server)
            continue
        if answer.split(b" ", 2)[1] != AGAIN_ELSEWHERE:
            break
    return answer


async def _exchange(server: str, request: bytes) -> bytes:
    host, _, port = server.rpartition(":")
    async with asyncio.timeout(CONNECT_SECONDS):
        reader, writer = await asyncio.open_connection(host, int(port))
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            writer.write(request)
            answer = await reader.read()
    finally:
        writer.transport.abort()
    head, found, body = answer.partition(b"\r\n\r\n")
    lengths = [int(li.partition(b":")[2]) for li in head.split(b"\r\n") if li.lower().startswith(b"content-length:")]
    if not found or (lengths and len(body) < lengths[0] and not request.startswith(b"HEAD")):
        raise ConnectionResetError("It broke off in the middle of its answer.")
    return answer


async def _main(port: int, servers: dict[str, list[str]]) -> None:
    pools = {kind: Pool(addresses) for kind, addresses in servers.items()}
    server = await asyncio.start_server(lambda r, w: _serve(pools, r, w), "127.0.0.1", port, backlog=512)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1]), json.loads(sys.argv[2])))
