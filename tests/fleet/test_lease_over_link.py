"""The lease of a lab's host, as a controller has it: over SSH, and against another controller."""

from __future__ import annotations

import contextlib
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from orchestrator.bundle.agent import agent_zipapp
from orchestrator.engine.leases import Leases
from orchestrator.fleet import lease
from orchestrator.fleet.lease import Busy, Held
from orchestrator.model.plan import LeasePlan
from orchestrator.transport import open_link

PLAN = LeasePlan(longest_s=600.0, busy="fail", patience_s=0.0, ttl_s=60.0, what="tests")


def held_by(
    lab: Any,
    hosts: list[str],
    notes: list[tuple[str, dict[str, Any]]],
    tune: dict[str, str] | None = None,
    run: str = "run-of-tests",
    **over: Any,
) -> Leases:
    return Leases(
        [lab.address(h) for h in hosts],
        LeasePlan(**{**vars(PLAN), **over}),
        tune or {},
        run=run,
        agent=agent_zipapp(),
        forks=8,
        note=lambda kind, data: notes.append((kind, data)),
        say=lambda text: notes.append(("say", {"text": text})),
    )


@pytest.mark.sshd
def test_each_host_of_a_lab_has_a_lease_of_its_own(lab: Any) -> None:
    notes: list[tuple[str, dict[str, Any]]] = []
    second_run = held_by(lab, ["h2", "h3"], notes, run="another-run")
    with held_by(lab, ["h1", "h2"], notes) as first, second_run as second:
        assert first.refused == {}
        assert list(second.refused) == ["h2"]
        kind, reason = second.refused["h2"]
        assert kind == "step_failed"
        assert "held by" in reason
    ended = [d["status"] for kind, d in notes if kind == "lease"]
    assert sorted(ended) == ["held", "held", "held", "refused", "released", "released", "released"]


@pytest.mark.sshd
def test_a_run_that_is_resumed_has_the_lease_that_it_left_behind(lab: Any) -> None:
    with held_by(lab, ["h1"], []) as first, held_by(lab, ["h1"], []) as again:
        assert (first.refused, again.refused) == ({}, {})


@pytest.mark.sshd
def test_a_lease_that_was_taken_away_is_noticed(lab: Any) -> None:
    address = lab.address("h1")
    with held_by(lab, ["h1"], [], ttl_s=2.0) as leases:
        with contextlib.closing(open_link(address)) as link:
            assert lease.release(link, agent_zipapp(), address, None)["released"]
        until = time.monotonic() + 60
        while not leases.lost() and time.monotonic() < until:
            time.sleep(0.05)
        assert leases.lost() == {"h1": "its lease has ended"}


@pytest.mark.sshd
def test_a_lab_that_has_our_own_kernel_is_not_tuned(lab: Any) -> None:
    setting = Path("/proc/sys/kernel/randomize_va_space")
    before = setting.read_text().strip()
    notes: list[tuple[str, dict[str, Any]]] = []
    with held_by(lab, ["h1"], notes, {"aslr": "off" if before != "0" else "full"}):
        assert setting.read_text().strip() == before
    (tuned,) = [data for kind, data in notes if kind == "tuned"]
    assert tuned["settings"]["aslr"]["ok"] is False
    assert "the kernel of this machine, which is left alone" in tuned["reason"]


@pytest.mark.sshd
@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_two_controllers_that_race_200_times_are_never_both_holders(lab: Any) -> None:
    """Each has a link of its own. Whoever gets it looks again before giving it back: it is still its own."""
    address, agent = lab.address("h1"), agent_zipapp()
    barrier, both, neither, failed = threading.Barrier(2), [], [], []
    took: dict[tuple[int, int], bool] = {}

    def controller(number: int) -> None:
        try:
            with contextlib.closing(open_link(address)) as link:
                for i in range(200):
                    barrier.wait(120)
                    name = f"run{number}.{i}"
                    answer = lease.take(link, agent, address, PLAN, f"run{number}", name)
                    took[i, number] = isinstance(answer, Held)
                    barrier.wait(120)
                    if isinstance(answer, Held):
                        shown = lease.show(link, agent, address)["lease"]
                        assert shown["id"] == name
                        assert lease.release(link, agent, address, name)["released"]
                    else:
                        assert isinstance(answer, Busy)
        except BaseException as e:  # noqa: BLE001 - said by the test
            failed.append(e)
            barrier.abort()

    racers = [threading.Thread(target=controller, args=(n,)) for n in range(2)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()
    assert failed == []
    both = [i for i in range(200) if took[i, 0] and took[i, 1]]
    neither = [i for i in range(200) if not took[i, 0] and not took[i, 1]]
    assert (both, neither) == ([], [])


def test_where_leases_lie(lab: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert lease.place(lab.address("h1")).endswith("/h1/spool/place")
    assert lease.place(lab.address("h1", leases="/run/leases")) == "/run/leases"
    assert lease.place(lab.address("h1", lab=None)) == ""
    monkeypatch.setenv("ORCH_LEASES", str(tmp_path))
    assert lease.place(lab.address("h1", lab=None, local=True)) == str(tmp_path)
