"""The figures of a run as Prometheus reads them, and the dashboard that shows them."""

from __future__ import annotations

import json
import re
import socket
import urllib.request
from pathlib import Path

import pytest
import run_folders as rf
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from prometheus_client.parser import text_string_to_metric_families as plain_families

from agents.wire import Entry
from orchestrator.errors import InputError
from orchestrator.report.board import Board
from orchestrator.report.openmetrics import Endpoint, place

ROOT = Path(__file__).parents[2]
OPENMETRICS = "application/openmetrics-text; version=1.0.0"


def board() -> Board:
    """One host with a launch behind it, one with a violation, a trouble and a lost step."""
    good, bad = rf.step(), rf.step(host="h2")
    told = Board()
    told.planned(rf.plan([good, bad]), "a-run")
    for entry in rf.launch_entries(good, records=rf.good_records(good, 3e6)):
        told.took("h1", good.job, good.id, entry)
    told.noted("step_done", {"host": "h1", "job": good.job, "step": good.id, "reason": ""})
    for entry in rf.launch_entries(bad, records=[rf.hello(bad), rf.violation()], end={}):
        told.took("h2", bad.job, bad.id, entry)
    trouble = {"level": "suspect", "what": "throttled", "text": "hot"}
    told.took("h2", bad.job, bad.id, Entry(9, 0, rf.T0, 1.0, "health", trouble))
    told.noted("step_lost", {"host": "h2", "job": bad.job, "step": bad.id, "reason": "no route"})
    return told


def ask(url: str, accept: str = OPENMETRICS) -> str:
    request = urllib.request.Request(url, headers={"Accept": accept})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return str(answer.read().decode())


def figures(text: str) -> dict[tuple[str, tuple[str, ...]], float]:
    families = text_string_to_metric_families(text)  # type: ignore[no-untyped-call] # the package leaves it untyped
    return {
        (s.name, tuple(v for k, v in sorted(s.labels.items()))): s.value
        for family in families
        for s in family.samples
    }


def test_the_figures_are_those_of_the_board() -> None:
    endpoint = Endpoint(board(), "0")
    try:
        found = figures(ask(endpoint.url))
        assert list(plain_families(ask(endpoint.url, "text/plain"))), "older scrapers are answered, too"
    finally:
        endpoint.close()
    assert found["orch_run_info", ("sample", "a-run")] == 1
    assert found["orch_steps", ("planned",)] == 2
    assert found["orch_steps", ("done",)] == found["orch_steps", ("lost",)] == 1
    assert found["orch_launches_total", ("h1",)] == 1
    assert found["orch_violations_total", ("h2",)] == 1
    assert found["orch_bad_total", ("h2",)] == 2
    assert found["orch_ops_per_second", ("h1", "scaling")] == 3e6
    assert found["orch_host_health", ("h2",)] == 1
    assert found["orch_host_troubles_total", ("h2", "throttled")] == 1
    assert found["orch_vital", ("h1", "B", "rss")] == 1 << 20
    assert found["process_resident_memory_bytes", ()] > 1 << 20


def test_an_address_in_use_or_of_another_machine_is_said_in_one_line() -> None:
    in_use = pytest.raises(InputError, match="cannot be listened on: Address already in use")
    with socket.create_server(("127.0.0.1", 0)) as taken, in_use:
        Endpoint(Board(), str(taken.getsockname()[1]))
    with pytest.raises(InputError, match="cannot be listened on"):
        Endpoint(Board(), "192.0.2.1:9464")


@pytest.mark.parametrize("wrong", ["", "x", "9464x", ":9464", "70000", "-1", "localhost:"])
def test_what_is_no_address_is_refused(wrong: str) -> None:
    with pytest.raises(InputError, match="neither PORT nor ADDRESS:PORT"):
        place(wrong)


def test_a_port_alone_is_for_this_machine_only() -> None:
    assert place("9464") == ("127.0.0.1", 9464)
    assert place("0.0.0.0:9464") == ("0.0.0.0", 9464)
    assert place("[::1]:0") == ("::1", 0)


def test_dashboard_and_page_name_what_there_is_and_all_of_it() -> None:
    endpoint = Endpoint(board(), "0")
    try:
        text = ask(endpoint.url)
    finally:
        endpoint.close()
    exported = {name for name, _ in figures(text) if name.startswith("orch_")}
    dashboard = json.loads((ROOT / "docs/fleet/grafana.json").read_text())
    shown = {target["expr"] for panel in dashboard["panels"] for target in panel["targets"]}
    asked = set(re.findall(r"\b(?:orch|process)_\w+", " ".join(shown)))
    assert asked - {"process_resident_memory_bytes"} <= exported
    assert {"orch_ops_per_second", "orch_host_health", "orch_run_left_seconds", "orch_steps"} <= asked
    page = (ROOT / "docs/fleet/watching.md").read_text()
    assert exported <= set(re.findall(r"`(\w+)`", page))
