"""Programs of others as steps, by the agent, with the real programs: their results, their faults, and their end."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from agents import hdr, limits
from agents.wire import Entry, Order
from agents.workloads import ADAPTED, TABLE, BadSetting
from agents.workloads.setting import Tool
from orchestrator.model.address import Address
from orchestrator.results.histogram import decode_histogram
from orchestrator.transport import Link, open_link
from tests.agents.conftest import Host, wait_for
from tests.agents.orders import ORDER


def records(entries: list[Entry], kind: str) -> list[dict[str, Any]]:
    return [e.data for e in entries if e.kind == "record" and e.data.get("type") == kind]


def result_of(entries: list[Entry]) -> dict[str, Any]:
    assert entries[-1].data["reason"] in ("exited", "stopped"), entries[-1]
    return records(entries, "result")[-1]


def metrics_of(entries: list[Entry]) -> dict[str, tuple[float, str]]:
    return {m["metric"]: (m["value"], m["unit"]) for m in result_of(entries)["metrics"]}


def order(host: Host, workload: str, **settings: Any) -> Order:
    seconds = settings.pop("length", 1.0)
    return host.order(workload=workload, settings=settings, seconds=seconds, wall_s=240.0)


# -- stress-ng -------------------------------------------------------------------------------------------


def test_the_figures_of_stress_ng_are_its_own(host: Host) -> None:
    asked = order(host, "stress_ng", stressors={"cpu": 1, "vm": 1}, options=["--vm-bytes", "8M"])
    entries = host.run(asked)
    (hello,) = records(entries, "hello")
    assert hello["contracts"] == ["verify"]
    found = result_of(entries)
    assert found["status"] == "ok"
    assert found["ops"] > 0
    named = metrics_of(entries)
    assert named["ops_per_second"][1] == "1/s"
    parts = [named[name + "_bogo_ops_per_second"][0] for name in ("cpu", "vm")]
    assert named["ops_per_second"][0] == pytest.approx(sum(parts))
    assert named["vm_max_rss"] == (named["vm_max_rss"][0], "B")
    assert (entries[-1].data["exit"], entries[-1].data["garbage"]) == (0, 0)


def test_what_stress_ng_does_not_understand_is_said_in_its_words(host: Host) -> None:
    found = result_of(host.run(order(host, "stress_ng", stressors={"cpuu": 1})))
    assert found["status"] == "error"
    assert found["message"] == "stress-ng ended with exit status 1: unrecognized option '--cpuu'"


def test_a_fault_that_stress_ng_finds_is_a_violation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # where there is no YAML
    made = ADAPTED["stress_ng"].translator(_bare_order({"stressors": {"cpu": 1}}))
    heard = made.hear("stress-ng: fail:  [77] cpu: detected 1 incorrect result", 0.5)
    assert [(v["type"], v["contract"]) for v in heard] == [("violation", "verify")]
    assert "incorrect result" in heard[0]["evidence"]
    last = made.end(Tool(2, 1.0))[-1]
    assert (last["status"], last["violations"]) == ("violated", 1)


def test_what_outlives_its_time_is_killed_with_all_below_it(host: Host) -> None:
    asked = order(host, "stress_ng", stressors={"cpu": 1}, patience=1.0)
    assert host.start(asked)["started"]
    frozen: list[int] = []

    def is_frozen() -> bool:
        below = limits.descendants(host.supervisor(asked))
        frozen[:] = [p.pid for p in below if Path(f"/proc/{p.pid}/comm").read_text().startswith("stress-ng")]
        return len(frozen) > 1

    assert wait_for(is_frozen)
    for pid in frozen:
        os.kill(pid, signal.SIGSTOP)
    entries = host.finish(asked)
    assert result_of(entries)["message"] == "stress-ng went on after its time and was killed"
    assert not [p for p in limits.processes() if p.pid in frozen and p.state not in "ZX"]


def test_a_program_that_is_asked_to_stop_says_so(host: Host) -> None:
    asked = order(host, "stress_ng", stressors={"cpu": 1}, length=200.0)
    host.start(asked)
    assert wait_for(
        lambda: b"dispatching hogs" in (host.launch_folder(asked) / "journal.ndjson").read_bytes()
    )
    host.stop(asked)
    entries = host.finish(asked)
    assert entries[-1].data["reason"] == "stopped"
    results = records(entries, "result")
    assert not results or results[-1]["status"] == "stopped"  # where the machine is busy it may come too late


@pytest.mark.parametrize("stressors", [{}, {"cpu": -1}, {"c p u": 1}, {"cpu": True}, {"cpu": "all"}])
def test_stressors_that_are_none_are_refused(stressors: Any) -> None:
    with pytest.raises(BadSetting, match="stressors"):
        TABLE["stress_ng"].argv(_bare_order({"stressors": stressors}))


def test_it_is_pinned_where_that_is_asked_for() -> None:
    free = TABLE["stress_ng"].argv(_bare_order({"stressors": {"cpu": 0}}, cpus=[1, 3]))
    pinned = TABLE["stress_ng"].argv(_bare_order({"stressors": {"cpu": 0}, "pinned": True}, cpus=[1, 3]))
    assert "--taskset" not in free
    assert pinned[pinned.index("--taskset") + 1] == "1,3"


# -- cyclictest ------------------------------------------------------------------------------------------


def test_the_histogram_of_cyclictest_becomes_ours(host: Host) -> None:
    asked = host.order(
        workload="cyclictest",
        settings={"interval": 2000, "priority": 0},
        threads=2,
        seconds=1.0,
        wall_s=240.0,
    )
    entries = host.run(asked)
    found = result_of(entries)
    assert found["status"] == "ok"
    (histogram,) = records(entries, "histogram")
    assert (histogram["metric"], histogram["unit"]) == ("latency", "us")
    read = decode_histogram(histogram["data"])
    assert read.total == found["ops"] > 0
    worst, unit = metrics_of(entries)["latency_max"]
    assert unit == "us"
    assert read.maximum == pytest.approx(worst, rel=1e-3)


def test_a_latency_above_its_limit_is_a_violation(host: Host) -> None:
    entries = host.run(order(host, "cyclictest", limit=1))
    assert records(entries, "hello")[0]["contracts"] == ["latency"]
    assert records(entries, "violation")[0]["contract"] == "latency"
    found = result_of(entries)
    assert found["status"] == "violated"
    assert found["violations"] >= 1


@pytest.mark.parametrize("workload", ["cyclictest", "stress_ng"])
def test_results_that_a_full_disk_has_cut_short_are_of_the_disk(
    host: Host, small_disk: Callable[[Link], str], workload: str
) -> None:
    host.spool = Path(small_disk(open_link(Address(name="here", local=True)))) / "spool"
    settings: dict[str, dict[str, Any]] = {
        "cyclictest": {"priority": 0},
        "stress_ng": {"stressors": {"cpu": 1}},
    }
    asked = order(host, workload, length=3.0, **settings[workload])
    host.start(asked)
    assert wait_for(lambda: b'"hello"' in host.journal(asked))
    with contextlib.suppress(OSError), (host.spool / "filler").open("wb", buffering=0) as file:
        while True:
            file.write(b"x" * 4096)
    entries = host.finish(asked)
    assert not records(entries, "violation")
    assert (entries[-1].data["reason"], entries[-1].data["signal"]) == ("disk", None)
    assert "No space left on device" in entries[-1].data["message"]
    assert not (host.launch_folder(asked) / "room").exists()
    # it has said its last word, and ends; its disk is taken away next
    assert wait_for(lambda: not any(str(host.spool) in p.info["cmdline"] for p in every_process()), 20.0)


def every_process() -> list[psutil.Process]:
    return [p for p in psutil.process_iter(["cmdline"]) if p.info["cmdline"]]


@pytest.mark.parametrize("wrong", [{"priority": 100}, {"interval": 0}, {"limit": 0}, {"histogram": 3}])
def test_settings_of_cyclictest_have_bounds(wrong: dict[str, int]) -> None:
    with pytest.raises(BadSetting, match=next(iter(wrong))):
        TABLE["cyclictest"].argv(_bare_order(wrong))


# -- command ---------------------------------------------------------------------------------------------

SAYS = ["sh", "-c", 'echo rate=5 MB/s; echo \'{"latency": {"p99": 3}}\'; echo rate=7 MB/s; echo done']


def test_figures_are_taken_from_what_a_command_prints(host: Host) -> None:
    asked = {
        "rate": {"regex": r"rate=(\S+)", "unit": "MB/s", "take": "mean"},
        "best": {"regex": r"rate=(\S+)", "take": "max"},
        "p99": {"json": "latency.p99", "unit": "us"},
        "first": r"rate=(\d)",
    }
    entries = host.run(order(host, "command", argv=SAYS, metrics=asked))
    assert metrics_of(entries) == {
        "rate": (6.0, "MB/s"),
        "best": (7.0, ""),
        "p99": (3.0, "us"),
        "first": (7.0, ""),
    }
    assert [i["metrics"].get("rate") for i in records(entries, "interval")] == [5.0, None, 7.0]
    said = [e.data["text"] for e in entries if e.kind == "output"]
    assert (said[0], said[-1]) == ("rate=5 MB/s", "done")


def test_a_figure_that_is_nowhere_is_an_error(host: Host) -> None:
    found = result_of(host.run(order(host, "command", argv=["echo", "hi"], metrics={"x": "x=(.)"})))
    assert (found["status"], found["message"]) == (
        "error",
        "gave no value of x: no line of its output has one",
    )


@pytest.mark.parametrize(("status", "said"), [(0, "ok"), (3, "ok"), (4, "error")])
def test_exit_statuses_that_are_no_failure_are_named(host: Host, status: int, said: str) -> None:
    entries = host.run(order(host, "command", argv=["sh", "-c", f"exit {status}"], exits=[0, 3]))
    assert result_of(entries)["status"] == said
    assert entries[-1].data["exit"] == (0 if said == "ok" else 1)


def test_a_command_that_crashes_ends_its_step_by_the_same_signal(host: Host) -> None:
    entries = host.run(order(host, "command", argv=["sh", "-c", "kill -SEGV $$"], exits=[0]))
    assert entries[-1].data["signal"] == signal.SIGSEGV
    assert entries[-1].data["core"] == ""


def test_a_program_that_is_not_there_is_named_with_its_package(host: Host) -> None:
    asked = order(host, "cyclictest")
    entries = host.run(Order(**{**vars(asked), "env": {"PATH": "/nowhere"}}))
    assert result_of(entries)["message"] == "cyclictest is not on this host (package rt-tests of Debian)"


@pytest.mark.parametrize(
    "metrics",
    [
        {"x": "no group"},
        {"x": "("},
        {"x": {}},
        {"x": {"regex": "(a)", "json": "b"}},
        {"x": {"regex": "(a)", "take": "best"}},
        {"x": {"regx": "(a)"}},
        {"x y": "(a)"},
        {"x": 5},
    ],
)
def test_a_metric_that_says_nothing_is_refused(metrics: Any) -> None:
    with pytest.raises(BadSetting, match="metrics"):
        TABLE["command"].argv(_bare_order({"argv": ["true"], "metrics": metrics}))


# -- histograms ------------------------------------------------------------------------------------------


def test_a_written_histogram_is_read_as_it_was() -> None:
    counts = {0: 3, 1: 1, 17: 10**6, 2047: 2, 2048: 1, 2050: 4, 123_456_789: 5, 10**12: 1}
    read = decode_histogram(hdr.encode(counts))
    assert read.total == sum(counts.values())
    for value in counts:
        at = [i for i in range(len(read.lows)) if read.lows[i] <= value <= read.highs[i]]
        assert len(at) == 1
        assert read.highs[at[0]] - read.lows[at[0]] <= value / 1000
    assert decode_histogram(hdr.encode({})).total == 0


def _bare_order(settings: dict[str, Any], cpus: list[int] | None = None) -> Order:
    return dataclasses.replace(
        ORDER, workload="x", settings=settings, program="", threads=1, cpus=cpus or [], mem="local"
    )
