"""What is kept of a launch that went wrong, and of one whose supervisor was killed."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from agents import evidence
from agents.kernel_log import INSTEAD
from agents.wire import Entry

if TYPE_CHECKING:
    from tests.agents.conftest import Host


def kept(entries: list[Entry]) -> dict[str, list[str]]:
    return {e.data["name"]: e.data["lines"] for e in entries if e.kind == "evidence"}


def test_of_a_hang_it_is_kept_where_its_threads_were_before_they_were_killed(host: Host) -> None:
    entries = host.run(host.order("sleep", "1000", wall_s=0.5))
    found = kept(entries)
    assert any("sleep 1000" in line for line in found["processes"])
    assert any("thread" in line and "state S" in line for line in found["processes"])
    assert any(line.startswith("load: ") for line in found["host"])
    assert entries[-1].kind == "ended"
    assert entries[-1].data["reason"] == "timeout"


def test_of_a_crash_the_kernels_words_since_it_began_are_kept(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "kmsg"
    log.write_text("4,1,1,-;before it began\n")
    monkeypatch.setenv(INSTEAD, str(log))
    entries = host.run(host.order("sh", "-c", f"echo '6,2,2,-;sh[1]: segfault at 0' >> {log}; kill -SEGV $$"))
    assert kept(entries)["kernel"] == ["sh[1]: segfault at 0"]


def test_of_a_sanitizer_that_writes_into_a_file_the_report_is_kept(host: Host) -> None:
    entries = host.run(host.order("sh", "-c", "echo 'ERROR: AddressSanitizer' > asan.42; exit 1"))
    assert kept(entries)["asan.42"] == ["ERROR: AddressSanitizer"]


@pytest.mark.parametrize("words", [("true",), ("echo", "fine")])
def test_of_a_launch_that_went_well_nothing_is_kept(host: Host, words: tuple[str, ...]) -> None:
    assert kept(host.run(host.order(*words))) == {}


def test_what_is_too_long_is_cut_and_says_so() -> None:
    lines = evidence.piece("x", ["y" * 1000] * 1000)["lines"]
    assert isinstance(lines, list)
    assert len(lines) <= 401
    assert max(map(len, lines)) <= 300
    assert "… 600 lines left out …" in lines


def test_of_a_launch_that_was_lost_the_host_can_be_asked(host: Host) -> None:
    order = host.order("sleep", "1000")
    host.start(order)
    os.kill(host.supervisor(order), signal.SIGKILL)
    done = host.agent("evidence", *host.which(order))
    assert done.returncode == 0, done.stderr
    pieces = {p["name"]: p["lines"] for p in json.loads(done.stdout)["pieces"]}
    assert "the host was not booted anew" in pieces["supervisor"]
    assert any(line.startswith("uptime: ") for line in pieces["host"])
    assert "kernel" in pieces
