"""Events told to a web address: what arrives, and what happens to a run whose listener is slow, wrong or away."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import run_folders as rf

from orchestrator.errors import InputError
from orchestrator.report import webhook
from orchestrator.report.board import Board
from orchestrator.report.webhook import Webhook


@contextmanager
def listener(
    *statuses: int, wait: threading.Event | None = None
) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Answers with these statuses, then with 200; its address and what it was told."""
    told: list[dict[str, Any]] = []
    answers = iter(statuses)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if wait is not None:
                wait.wait(60)
            status = next(answers, 200)
            if status == 200:
                told.append(json.loads(body))
            self.send_response(status)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None: ...  # noqa: A002 - its name there

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/secret", told
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_every_event_of_a_run_arrives_once_and_in_order() -> None:
    step = rf.step()
    with listener() as (url, told):
        hook, board = Webhook(url), Board()
        board.listeners.append(hook.tell)
        board.planned(rf.plan([step]), "a-run")
        for entry in rf.launch_entries(step, records=[rf.hello(step), rf.violation()], end=rf.ended(exit=1)):
            board.took("h1", step.job, step.id, entry)
        board.noted("step_lost", {"host": "h1", "job": step.job, "step": step.id, "reason": "no route"})
        board.noted("host", {"host": "h1", "status": "quarantined", "reason": "Oops"})
        hook.close()
    assert [e["event"] for e in told] == ["run_started", "violation", "step_lost", "host_quarantined"]
    assert {e["run"] for e in told} == {"a-run"}
    assert told[1]["step"] == step.id
    assert "C1 violated" in told[1]["text"]
    assert hook.trouble == ""


def test_a_listener_that_stumbles_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook, "_PAUSE_S", 0.0)
    with listener(503, 500) as (url, told):
        hook = Webhook(url)
        hook.tell({"event": "stop"})
        hook.close()
    assert [e["event"] for e in told] == ["stop"]


def test_a_listener_that_refuses_or_is_away_costs_nothing_and_is_told_without_its_address(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(webhook, "_PAUSE_S", 0.0)
    with listener(404) as (url, told):
        hook = Webhook(url)
        hook.tell({"event": "stop"})
        hook.close()
    assert not told
    assert hook.trouble == "status 404: Not Found"
    gone = Webhook(url)
    gone.tell({"event": "stop"})
    gone.close()
    assert "refused" in gone.trouble
    assert "secret" not in gone.trouble + hook.trouble


def test_whoever_tells_never_waits_and_what_was_dropped_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook, "_WAITING", 4)
    go_on = threading.Event()
    with listener(wait=go_on) as (url, told):
        hook = Webhook(url)
        for number in range(50):
            hook.tell({"event": "n", "number": number})
        go_on.set()
        hook.close()
    assert len(told) + sum(e.get("dropped", 0) for e in told) <= 50
    assert len(told) < 50
    assert sum(e.get("dropped", 0) for e in told) > 0


@pytest.mark.parametrize("wrong", ["", "x", "ftp://h/", "file:///etc/passwd", "http://"])
def test_what_is_no_web_address_is_refused_without_being_shown(wrong: str) -> None:
    with pytest.raises(InputError) as e:
        Webhook(wrong)
    assert str(e.value).startswith("ORCH_WEBHOOK: is not a web address")
