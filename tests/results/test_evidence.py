"""Evidence as files: of launches that went wrong and of no others, and no file where a host says it should be."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import run_folders as rf

from agents.wire import Entry
from orchestrator.results.rebuild import rebuild


def with_evidence(entries: list[Entry], *names: str) -> list[Entry]:
    *before, last = entries
    kept = [
        dataclasses.replace(
            last, seq=last.seq + n, kind="evidence", data={"name": name, "lines": [f"of {name}"]}
        )
        for n, name in enumerate(names)
    ]
    return [*before, *kept, dataclasses.replace(last, seq=last.seq + len(kept))]


def test_a_launch_that_went_wrong_leaves_files_that_can_be_read(tmp_path: Path) -> None:
    good, bad = rf.step(), rf.step(number=1)
    builder = rf.Builder.make(tmp_path, rf.plan([good, bad])).passed(good)
    end = rf.ended(reason="exited", exit=None, signal=11)
    entries = rf.launch_entries(bad, end=end, stderr=["it broke"], notes=["backtrace: #0 crash ()"])
    builder.launch(bad, with_evidence(entries, "host", "kernel", "host")).say("step_done", bad)
    folder = builder.finish()
    rebuild(folder)
    place = folder.evidence("h1", bad.id, 0)
    assert sorted(p.name for p in place.iterdir()) == [
        "backtrace.txt",
        "host-2.txt",
        "host.txt",
        "journal.txt",
        "kernel.txt",
        "output.txt",
    ]
    assert (place / "kernel.txt").read_text() == "of kernel\n"
    assert (place / "output.txt").read_text() == "stderr: it broke\n"
    assert (place / "backtrace.txt").read_text() == "#0 crash ()\n"
    assert " ended " in (place / "journal.txt").read_text().splitlines()[-1]
    assert not folder.evidence("h1", good.id, 0).exists()


def test_what_a_host_calls_its_pieces_is_a_name_and_never_a_path(tmp_path: Path) -> None:
    step = rf.step()
    builder = rf.Builder.make(tmp_path, rf.plan([step]))
    entries = with_evidence(
        rf.launch_entries(step, end=rf.ended(exit=1)), "../../../plan", "/etc/x", "journal", ""
    )
    folder = builder.launch(step, entries).say("step_done", step).finish()
    before = folder.plan.read_bytes()
    rebuild(folder)
    names = sorted(p.name for p in folder.evidence("h1", step.id, 0).iterdir())
    assert names == ["etc-x.txt", "journal-2.txt", "journal.txt", "plan.txt", "unnamed.txt"]
    assert folder.plan.read_bytes() == before


def test_of_a_lost_launch_there_is_what_its_host_said_afterwards(tmp_path: Path) -> None:
    step = rf.step()
    builder = rf.Builder.make(tmp_path, rf.plan([step]))
    builder.launch(step, rf.launch_entries(step, end={}))
    builder.say("evidence", step, launch=0, name="supervisor", lines=["the host was booted anew"])
    folder = builder.say("launch_lost", step, launch=0).say("step_lost", step).finish()
    rebuilt = rebuild(folder)
    text = (folder.evidence("h1", step.id, 0) / "supervisor.txt").read_text()
    assert text == "the host was booted anew\n"
    assert "evidence" not in set(rebuilt.tables["events"]["kind"])
