"""Many machines: doors, webs, workers and retention as separate processes on several hosts, behind a load balancer, on
PostgreSQL and a versioned bucket; every process reaches database, store and carrier through wires that can be cut."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import boto3
import requests
from sqlalchemy import make_url, update

from callcenter.db import transaction
from callcenter.models import Clinic
from tests.e2e.processes import below, command_line
from tests.e2e.rig import Rig, installation
from tests.faults.hosts import Host, Site
from tests.faults.wires import Cut, Switchboard, Wire
from tests.ports import free_port

BUCKET, REGION = "recordings", "eu-west-1"
FALLBACK = "+441632960077"
"""Where the hill clinic itself answers when we cannot."""
COMMANDS: dict[str, tuple[str, ...]] = {
    "webhooks": ("webhooks",),
    "web": ("web",),
    "worker": ("worker",),
    "retention": ("retention", "run"),
}
CUT_OFF_SOON = {"answer_within_seconds": 1.5}
"""As in life: a door that cannot reach the database soon answers without it."""
SERVERS = {"webhooks": "doors", "web": "webs"}
PARTS = ("database", "store", "carrier")
ASK = "import sys, urllib.request; sys.exit(urllib.request.urlopen(sys.argv[1], timeout=5).status != 200)"


@dataclass
class Node:
    """One process on one host, with its own wires."""

    kind: str
    host: Host
    port: int
    wires: dict[str, Wire]

    @property
    def name(self) -> str:
        """Such as ``worker-2``."""
        return f"{self.kind}-{self.host.number}"

    @property
    def address(self) -> str:
        """Where it listens."""
        return f"{self.host.address}:{self.port}"


@dataclass
class Cluster(Rig):
    """An installation of many processes; ``web`` is the load balancer."""

    site: Site = field(kw_only=True)
    switchboard: Switchboard = field(kw_only=True)
    s3_port: int = field(default_factory=free_port, kw_only=True)
    nodes: dict[str, Node] = field(default_factory=dict, kw_only=True)
    killed: int = field(default=0, kw_only=True)

    def environ(self) -> dict[str, str]:
        """What commands outside of every host get to know: they reach everything directly."""
        return super().environ() | {
            "PUBLIC_BASE_URL": self.web,
            "CALLCENTER_SECRET_KEY": "0123456789abcdef" * 4,
            "RECORDINGS_URL": f"s3://{BUCKET}",
            "AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{self.s3_port}",
            "AWS_REGION": REGION,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "PYTHONPATH": str(Path(__file__).parents[2]),
        }

    def start_serve(self) -> None:
        """Start the store, the processes of every host and the load balancer; wait until each can work."""
        self._start_store()
        with transaction(self.engine) as session:
            session.execute(update(Clinic).values(fallback_number=FALLBACK))
        self.put(f"phones/{FALLBACK}", {"action": "answer", "answer_after_seconds": 1, "hang_up_after_seconds": 4})
        for host in self.site.hosts:
            for kind in COMMANDS:
                node = self._node(kind, host)
                self.nodes[node.name] = node
                self.begin(node)
        servers = {pool: [n.address for n in self.nodes.values() if n.kind == kind] for kind, pool in SERVERS.items()}
        self.start("balancer", "tests.faults.balancer", str(self.port), json.dumps(servers))
        for node in self.nodes.values():
            self.until_ready(node)
        self.until("the balancer answers", lambda: requests.get(f"{self.web}/readyz", timeout=5).ok, seconds=60)

    def begin(self, node: Node) -> None:
        """Start the process of a node."""
        arguments = [*node.host.prefix, sys.executable, "-m", "callcenter.cli", *COMMANDS[node.kind]]
        if node.kind in SERVERS:
            arguments += ["--bind", node.address]
        with (self.directory / f"{node.name}.log").open("ab") as output:
            self.processes[node.name] = subprocess.Popen(
                arguments,
                env=self.environ() | self._reached_by_wire(node),
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )

    def until_ready(self, node: Node) -> None:
        """Wait until a door or a web says that it can do its work; the others are ready when they are there."""
        if node.kind in SERVERS:
            ask = [*node.host.prefix, sys.executable, "-S", "-c", ASK, f"http://{node.address}/readyz"]
            look = partial(subprocess.run, ask, check=False, capture_output=True)
            self.until(f"{node.name} is ready", lambda: look().returncode == 0, seconds=240)
        assert self.processes[node.name].poll() is None, f"{node.name} has ended"

    def kill(self, node: Node) -> None:
        """kill -9, and wait until it is gone."""
        family = below(self.processes[node.name].pid)
        self.processes[node.name].kill()
        self.processes[node.name].wait(20)
        self.until(f"{node.name} took its server along", lambda: not any(map(command_line, family)))
        self.killed += 1

    def renew(self, host: Host) -> dict[str, int]:
        """Ask every process of a host to end, as a deployment does, start the next ones and wait until they can work.
        Answers the exit statuses by name; a negative one is a signal."""
        nodes = [node for node in self.nodes.values() if node.host is host]
        for node in nodes:
            self.processes[node.name].terminate()
        statuses = {node.name: self.processes[node.name].wait(60) for node in nodes}
        for node in nodes:
            self.begin(node)
        for node in nodes:
            self.until_ready(node)
        return statuses

    @contextmanager
    def cut_off(self, node: Node, part: str, how: Cut, *, forgotten: bool = False) -> Iterator[None]:
        """Within the block a process does not reach a part. ``forgotten``: old connections are reset at the end."""
        self.switchboard.cut(node.wires[part], how)
        try:
            yield
        finally:
            self.switchboard.mend(node.wires[part], forgotten=forgotten)

    def reconcile(self) -> None:
        """What the retention process does every ten minutes: calls that were missed are entered."""
        command = [sys.executable, "-m", "callcenter.cli", "reconcile", "--repair", "--json"]
        answer = subprocess.run(
            command, env=self.environ(), cwd=self.directory, check=False, capture_output=True, text=True
        )
        assert answer.returncode in (0, 1), answer.stderr

    def stored_objects(self) -> list[str]:
        """The keys of all versions in the bucket: one that was stored twice is here twice."""
        answer = self._s3().list_object_versions(Bucket=BUCKET)
        assert not answer["IsTruncated"]
        return sorted(version["Key"] for version in answer.get("Versions", []))

    def _node(self, kind: str, host: Host) -> Node:
        targets: dict[str, str | int] = {
            "database": _socket_of(self.database_url),
            "store": self.s3_port,
            "carrier": self.simulator_port,
        }
        wires = {part: self.switchboard.wire(target, self.site.near) for part, target in targets.items()}
        asked, answers = f"{self.site.near}:{wires['carrier'].port}", f"127.0.0.1:{self.simulator_port}"
        wires["carrier"].renamed = f"Host: {asked}".encode(), f"Host: {answers}".encode()
        return Node(kind, host, free_port(), wires)

    def _reached_by_wire(self, node: Node) -> dict[str, str]:
        """The addresses of what a node reaches by wire, and its host's own directory."""
        at = {part: f"{self.site.near}:{wire.port}" for part, wire in node.wires.items()}
        name = make_url(self.database_url).database
        return {
            "DATABASE_URL": f"postgresql://postgres@{at['database']}/{name}?sslmode=disable&gssencmode=disable",
            "AWS_ENDPOINT_URL_S3": f"http://{at['store']}",
            "TWILIO_API_BASE_URL": f"http://{at['carrier']}",
            "CALLCENTER_STATE_DIR": str(self.directory / f"host-{node.host.number}"),
        }

    def _start_store(self) -> None:
        with (self.directory / "store.log").open("ab") as output:
            server = [str(Path(sys.executable).with_name("moto_server")), "-H", "127.0.0.1", "-p", str(self.s3_port)]
            self.processes["store"] = subprocess.Popen(server, stdout=output, stderr=output)
        address = f"http://127.0.0.1:{self.s3_port}/moto-api/data.json"
        self.until("the store answers", lambda: requests.get(address, timeout=5).ok, seconds=60)
        self._s3().create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
        self._s3().put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})

    def _s3(self) -> Any:
        return boto3.client(
            "s3",
            endpoint_url=f"http://127.0.0.1:{self.s3_port}",
            region_name=REGION,
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
        )


@contextmanager
def cluster(directory: Path, database_url: str, site: Site, **voice: Any) -> Iterator[Cluster]:
    """A cluster on a migrated PostgreSQL database; everything ends with the block."""
    switchboard = Switchboard()
    kind = partial(Cluster, site=site, switchboard=switchboard)
    try:
        with installation(
            directory, database_url, kind=kind, extra_receptionists=4, speed=8.0, **(CUT_OFF_SOON | voice)
        ) as made:
            assert isinstance(made, Cluster)
            yield made
    finally:
        switchboard.stop()


def _socket_of(database_url: str) -> str:
    """The server's Unix socket."""
    return f"{make_url(database_url).query['host']}/.s.PGSQL.5432"
