"""A carrier's recordings and an S3 bucket, as cheap as they can be: whoever is measured against them pays for little
but its own side. A process of its own, because it shares the machine with what is measured.

Every recording and every object exists once until it is deleted; what is uploaded is counted and thrown away. The SID
of a recording begins with its size in bytes (``sid_of``), and a leg's SID ends as that of its recording does.
"""

import base64
import hashlib
import json
import re
import socketserver
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from uuid import uuid4
from xml.sax.saxutils import escape

from benchmarks.servers import process, until_answers
from tests.fakes import wav
from tests.ports import free_port

ACCOUNT = "AC" + "1" * 32
BUCKET = "recordings"
CHUNK = bytes(64 * 1024)
BYTES_PER_SECOND = 32_000
"""Two channels of 16 bits, 8,000 times a second."""
XML = "application/xml"
_KEY = re.compile(r"<Key>(.*?)</Key>")


def sid_of(seconds: int, prefix: str = "RE") -> str:
    """A new SID of a recording that lasts so long."""
    return f"{prefix}{44 + seconds * BYTES_PER_SECOND:08x}{uuid4().hex[:24]}"


@dataclass(frozen=True)
class StandIns:
    """Where they are."""

    address: str

    def environ(self) -> dict[str, str]:
        """Settings that lead to them."""
        return {
            "TWILIO_ACCOUNT_SID": ACCOUNT,
            "TWILIO_AUTH_TOKEN": "a-token-that-nobody-checks",
            "TWILIO_API_BASE_URL": self.address,
            "RECORDINGS_URL": f"s3://{BUCKET}",
        }

    def media_url(self, carrier_recording_sid: str) -> str:
        """Where a recording is downloaded."""
        return f"{self.address}/2010-04-01/Accounts/{ACCOUNT}/Recordings/{carrier_recording_sid}.wav"

    def s3(self) -> Any:
        """boto3's client for the bucket."""
        import boto3

        own = {"aws_access_key_id": "none", "aws_secret_access_key": "none", "region_name": "eu-west-1"}
        return boto3.client("s3", endpoint_url=self.address, **own)  # type: ignore[call-overload]


@contextmanager
def stand_ins(folder: Path) -> Iterator[StandIns]:
    """Both, for as long as the block."""
    port = free_port()
    root = {"PYTHONPATH": str(Path(__file__).parent.parent)}
    with process(["benchmarks.stand_ins", str(port)], folder=folder, environ=root):
        until_answers(port)
        yield StandIns(f"http://127.0.0.1:{port}")


Answer = tuple[int, dict[str, str], bytes]


class _Handler(socketserver.StreamRequestHandler):
    """Requests on one connection."""

    disable_nagle_algorithm = True
    server: "_Server"

    def handle(self) -> None:
        while line := self.rfile.readline(65536):
            method, target, _ = line.decode().split()
            headers = dict(self._headers())
            if "expect" in headers:
                self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            body = self._body(int(headers.get("content-length", "0")), keep=method == "POST")
            parts = urlsplit(target)
            self._answer(method, unquote(parts.path), parse_qs(parts.query, keep_blank_values=True), headers, body)

    def _headers(self) -> Iterator[tuple[str, str]]:
        while (field := self.rfile.readline(65536)) not in (b"\r\n", b""):
            name, _, value = field.decode().partition(":")
            yield name.lower(), value.strip()

    def _body(self, length: int, *, keep: bool) -> bytes:
        if keep:
            return self.rfile.read(length)
        while length:
            length -= len(self.rfile.read(min(length, len(CHUNK))))
        return b""

    def _answer(
        self, method: str, path: str, query: dict[str, list[str]], headers: dict[str, str], body: bytes
    ) -> None:
        world = self.server.world
        if path.endswith(".wav"):
            self._send_media(int(path.rpartition("/")[2][2:10], 16))
            return
        if path.startswith("/2010-04-01/"):
            status, more, content = world.carrier(method, path)
        elif path == "/healthz":
            status, more, content = 200, {}, b"ok"
        else:
            name = path.removeprefix(f"/{BUCKET}").removeprefix("/")
            status, more, content = world.bucket(method, name, query, headers, body)
        lines = "".join(f"{name}: {value}\r\n" for name, value in more.items())
        length = "" if "Content-Length" in more else f"Content-Length: {len(content)}\r\n"
        self.wfile.write(f"HTTP/1.1 {status} .\r\n{lines}{length}\r\n".encode() + content)

    def _send_media(self, size: int) -> None:
        header = wav(0, data_size=size - 44)
        self.wfile.write(
            f"HTTP/1.1 200 .\r\nContent-Type: audio/x-wav\r\nContent-Length: {size}\r\n\r\n".encode() + header
        )
        left = size - len(header)
        while left:
            left -= self.wfile.write(CHUNK[:left])


class _World:
    """What was deleted, and how the parts of unfinished uploads add up."""

    def __init__(self) -> None:
        self._deleted: set[str] = set()
        self._digests: dict[str, dict[int, str]] = {}
        self._checksums: dict[str, str] = {}

    def carrier(self, method: str, path: str) -> Answer:
        """Deleting a recording, and the list of a leg's."""
        part = path.rpartition(f"/{ACCOUNT}")[2]
        as_json = {"Content-Type": "application/json"}
        if method == "DELETE":
            sid = part.rpartition("/")[2].removesuffix(".json")
            known = sid not in self._deleted
            self._deleted.add(sid)
            unknown = json.dumps({"code": 20404, "status": 404}).encode()
            return (204, {}, b"") if known else (404, as_json, unknown)
        leg = part.split("/")[2]
        sid = f"RE{leg[2:]}"
        began = "Mon, 02 Mar 2026 09:00:00 +0000"
        row = {"sid": sid, "call_sid": leg, "status": "completed", "duration": "100", "channels": 2}
        rows = [] if sid in self._deleted else [{**row, "start_time": began, "date_created": began}]
        page = {"recordings": rows, "page": 0, "page_size": 50, "next_page_uri": None}
        return 200, as_json, json.dumps(page).encode()

    def bucket(
        self, method: str, name: str, query: dict[str, list[str]], headers: dict[str, str], body: bytes
    ) -> Answer:
        """What is asked of objects and of the bucket."""
        if "versions" in query:
            return self._listed(query["prefix"][0])
        if method == "POST" and "delete" in query:
            return self._delete(body.decode())
        if method == "GET" or "uploads" in query:
            return (
                200,
                {"Content-Type": XML},
                _xml("InitiateMultipartUploadResult", f"<UploadId>{uuid4().hex}</UploadId>"),
            )
        if "uploadId" in query:
            return self._part(method, name, query, headers)
        if method == "PUT":
            self._checksums[name] = headers.get("x-amz-checksum-sha256", "")
        checksum = {"x-amz-checksum-sha256": self._checksums.get(name, "")}
        return 200, {"ETag": '"etag"', "Content-Length": "0", **checksum}, b""

    def _listed(self, name: str) -> Answer:
        entry = f"<Key>{escape(name)}</Key><VersionId>one</VersionId><IsLatest>true</IsLatest><Size>1</Size>"
        there = "" if name in self._deleted else f"<Version>{entry}</Version>"
        return 200, {"Content-Type": XML}, _xml("ListVersionsResult", f"<IsTruncated>false</IsTruncated>{there}")

    def _delete(self, body: str) -> Answer:
        names = _KEY.findall(body)
        self._deleted.update(names)
        gone = "".join(f"<Deleted><Key>{name}</Key><VersionId>one</VersionId></Deleted>" for name in names)
        return 200, {"Content-Type": XML}, _xml("DeleteResult", gone)

    def _part(self, method: str, name: str, query: dict[str, list[str]], headers: dict[str, str]) -> Answer:
        upload = query["uploadId"][0]
        if method == "PUT":
            number = int(query["partNumber"][0])
            self._digests.setdefault(upload, {})[number] = headers.get("x-amz-checksum-sha256", "")
            return 200, {"ETag": f'"etag-{number}"'}, b""
        digests = [base64.b64decode(one) for _, one in sorted(self._digests.pop(upload, {}).items())]
        whole = base64.b64encode(hashlib.sha256(b"".join(digests)).digest()).decode()
        self._checksums[name] = f"{whole}-{len(digests)}"
        return 200, {"Content-Type": XML}, _xml("CompleteMultipartUploadResult", f"<Key>{escape(name)}</Key>")


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 64

    def __init__(self, port: int) -> None:
        self.world = _World()
        super().__init__(("127.0.0.1", port), _Handler)


def _xml(name: str, content: str) -> bytes:
    return f'<{name} xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{content}</{name}>'.encode()


if __name__ == "__main__":
    with _Server(int(sys.argv[1])) as server:
        server.serve_forever()
