"""The fault matrix: nothing that a host has on its disk is lost or counted twice, nothing is left running, and the outcome says
whose fault it was. `make test` has the quick scenes, `make test-slow` all; `make fault-matrix` prints the table."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import guest_scenes
import matrix
import pairs
import pytest
import rack_scenes
import ray_scenes
import scenes
from fault_table import Row, table

from orchestrator.lab import guest, loopback, rack

pytestmark = [pytest.mark.ray, pytest.mark.sshd]


@pytest.fixture(scope="module")
def hosts(_own_state: None) -> Iterator[str]:
    name = f"faults{os.getpid()}"
    loopback.up(name, scenes.HOSTS)
    yield name
    loopback.down(name)


def check(rows: list[Row]) -> None:
    print(table(rows))
    assert not [r for r in rows if r.wrong()], "\n" + table(rows)


def test_every_fault_is_tried_at_every_moment_or_there_is_a_reason() -> None:
    tried, why = pairs.tried(), pairs.why_not()
    assert sorted(pair for pair, count in tried.items() if not count) == sorted(why)


def test_what_befalls_workload_agent_link_and_host(tmp_path: Path, hosts: str) -> None:
    check(scenes.ends(hosts, tmp_path / "runs"))


@pytest.mark.slow
def test_a_run_whose_controller_was_killed_is_resumed(tmp_path: Path, hosts: str) -> None:
    check(scenes.resumed(hosts, tmp_path / "runs"))


@pytest.mark.slow
def test_a_disk_that_is_full_here_ends_the_run_until_there_is_room(tmp_path: Path, hosts: str) -> None:
    check(scenes.disk_full_here(hosts, tmp_path / "runs"))


@pytest.mark.slow
@pytest.mark.parametrize("what", list(ray_scenes.VICTIMS))
def test_what_becomes_of_ray_is_nothing_to_the_run(tmp_path: Path, hosts: str, what: str) -> None:
    check(ray_scenes.killed(hosts, tmp_path / "runs", what))


NO_RACK = pytest.mark.skipif(bool(rack.why_not()), reason=f"no rack here: {rack.why_not()}")


@pytest.mark.slow
@pytest.mark.timeout(1500)
@NO_RACK
def test_hosts_that_are_cut_off_stand_still_or_end(tmp_path: Path) -> None:
    with matrix.lab("rack", rack_scenes.HOSTS) as name:
        check(rack_scenes.rack(name, tmp_path / "runs"))


@pytest.mark.slow
@pytest.mark.timeout(1500)
@NO_RACK
def test_hosts_that_are_cut_off_or_end_at_other_moments(tmp_path: Path) -> None:
    with matrix.lab("rack", rack_scenes.HOSTS) as name:
        check(rack_scenes.more(name, tmp_path / "runs"))


@pytest.mark.slow
@pytest.mark.timeout(1500)
@NO_RACK
def test_hosts_that_are_away_for_long_are_waited_for_and_those_that_never_came_are_lost(
    tmp_path: Path,
) -> None:
    with matrix.lab("rack", rack_scenes.LONG_HOSTS) as name:
        check(rack_scenes.long(name, tmp_path / "runs"))


@pytest.mark.slow
@pytest.mark.timeout(1500)
@NO_RACK
def test_a_controller_that_was_killed_before_anything_ran_is_resumed(tmp_path: Path) -> None:
    with matrix.lab("rack", 2) as name:
        check(rack_scenes.killed_early(name, tmp_path / "runs"))


@pytest.mark.slow
@pytest.mark.timeout(2400)
def test_machines_whose_clock_jumps_that_stand_still_or_whose_kernel_is_broken(tmp_path: Path) -> None:
    guest.kernel()
    with matrix.lab("guest", guest_scenes.GUESTS) as name:
        check(guest_scenes.guests(name, tmp_path / "one"))
    with matrix.lab("guest", 1) as name:
        check(guest_scenes.killed(name, tmp_path / "two"))
