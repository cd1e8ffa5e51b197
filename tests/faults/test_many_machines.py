"""Outgrowing one machine: many processes on PostgreSQL and a bucket. One at a time is killed or cut off while calls
run, and no call is lost."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from sqlalchemy import inspect

from callcenter.migrating import upgrade
from tests.campaigns import LONG, runs
from tests.databases import PostgresTemplate
from tests.faults.cluster import COMMANDS, Cluster, cluster
from tests.faults.hosts import namespaces, one_machine
from tests.faults.next_version import next_version_in
from tests.faults.stream import judge, ringing
from tests.faults.wires import Cut

pytestmark = [pytest.mark.xdist_group("cluster"), pytest.mark.campaign, pytest.mark.timeout(900)]

ROUNDS = runs(1, 3)


@pytest.fixture(scope="module")
def machines(postgres_template: PostgresTemplate, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Two hosts with a door, a web, a worker and a retention process each."""
    with postgres_template.copy() as url, cluster(tmp_path_factory.mktemp("cluster"), url, one_machine(2)) as made:
        yield made


def test_killing_one_process_of_each_kind_while_calls_run_loses_no_call(
    machines: Cluster, figures: Callable[..., None]
) -> None:
    with ringing(machines) as stream:
        stream.until_served(2)
        for kind in list(COMMANDS) * ROUNDS:
            node = machines.nodes[f"{kind}-1"]
            machines.kill(node)
            stream.until_served(2)
            machines.begin(node)
            machines.until_ready(node)
    outcomes = judge(stream)
    assert outcomes["answered"] > len(stream.sids) / 2, "the others went on"
    figures(calls=len(stream.sids), lost=0, killed=len(COMMANDS) * ROUNDS, **outcomes)


CUTS: tuple[tuple[str, str, Cut], ...] = (
    ("webhooks-1", "database", "silence"),
    ("worker-1", "database", "silence"),
    ("worker-2", "carrier", "reset"),
    ("worker-1", "store", "silence"),
    ("web-1", "database", "reset"),
    ("retention-1", "database", "silence"),
)


def test_cutting_one_process_off_from_database_store_or_carrier_loses_no_call(
    machines: Cluster, figures: Callable[..., None]
) -> None:
    with ringing(machines) as stream:
        stream.until_served(1)
        for number, (name, part, how) in enumerate(CUTS * ROUNDS):
            with machines.cut_off(machines.nodes[name], part, how, forgotten=number % 2 == 1):
                stream.until_served(2)
    outcomes = judge(stream)
    figures(calls=len(stream.sids), lost=0, cut=len(CUTS) * ROUNDS, **outcomes)


def test_deploying_the_next_version_with_a_migration_in_the_middle_of_calls_loses_no_call(
    machines: Cluster, tmp_path: Path, figures: Callable[..., None]
) -> None:
    """Expand the schema while the old version works; then every process ends in its own time and the next one starts,
    the processes of both versions side by side (F31)."""
    statuses: dict[str, int] = {}
    before = max((one["id"] for one in _exchanges(machines, since=0)), default=0)
    with ringing(machines) as stream:
        stream.until_served(1)
        upgrade(machines.engine, versions=[next_version_in(tmp_path / "versions")])
        assert "next_version_notes" in inspect(machines.engine).get_table_names()
        stream.until_served(1)
        for host in machines.site.hosts:
            statuses |= machines.renew(host)
        stream.until_served(2)
    outcomes = judge(stream)
    assert set(statuses.values()) == {0}, "each ended by itself, in time"
    assert outcomes["answered"] > len(stream.sids) / 2, "nobody noticed"
    assert _failed(_exchanges(machines, since=before)) == []
    figures(calls=len(stream.sids), lost=0, restarted=len(statuses), migrations=1, **outcomes)


if LONG:  # needs root; the short form cuts the same wires without

    def test_pulling_the_network_cable_of_one_host_at_a_time_loses_no_call(
        postgres_template: PostgresTemplate, tmp_path: Path, figures: Callable[..., None]
    ) -> None:
        """Three hosts that are machines of their own as far as the network goes."""
        pulled = 0
        with namespaces(3) as site, postgres_template.copy() as url, cluster(tmp_path, url, site) as machines:
            with ringing(machines) as stream:
                for host in site.hosts:
                    stream.until_served(2, seconds=300)
                    host.unplug()
                    stream.until_served(4, seconds=240)
                    host.plug()
                    pulled += 1
            outcomes = judge(stream)
            assert all(process.poll() is None for process in machines.processes.values()), "nobody gave up"
        figures(calls=len(stream.sids), lost=0, cables_pulled=pulled, **outcomes)


def _exchanges(machines: Cluster, *, since: int) -> list[dict[str, Any]]:
    """What passed between the carrier and us after the exchange of that number."""
    query = {"since": since}
    found = requests.get(f"{machines.control}/exchanges", params=query, timeout=10).json()["exchanges"]
    return [one for one in found if one["kind"] == "control"]


def _failed(exchanges: list[dict[str, Any]]) -> list[str]:
    """What the carrier asked for a caller and got no document for."""
    assert exchanges
    return [f"{one['url']} {one['status']}" for one in exchanges if one["status"] is None or one["status"] >= 500]
