"""Long journals: by blocks the same comes out as line by line, each entry once, and in no more memory than a step takes."""

from __future__ import annotations

import contextlib
import errno
import random
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
import run_folders as rf
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.wire import Entry, WireError, entry_line, parse_entry
from orchestrator.analysis.tables import of_step
from orchestrator.errors import RunFolderError
from orchestrator.results import ledger, long
from orchestrator.results.course import Course, is_course
from orchestrator.results.folder import RunFolder
from orchestrator.results.launch import classify
from orchestrator.results.ledger import StepLog
from orchestrator.results.lines import checksums, read_block
from orchestrator.results.rebuild import rebuild

STEP = rf.step()


def lines_of(launch: int, count: int, **given: Any) -> list[str]:
    """A launch with so many intervals, and a vital sign for every third of them."""
    entries: list[tuple[str, dict[str, Any]]] = [
        ("started", {"step": STEP.id, "seed": 5, "launch": launch}),
        ("record", rf.hello(STEP)),
    ]
    for i in range(count):
        told = {**rf.interval("measure" if i > 3 else "warmup", i * 0.5, 1000 + i), **given}
        entries.append(("record", told))
        if i % 3 == 0:
            signs = {"rss": 4096 * i, "steal": 10.5, "load_1m": 0.5, "cpu_busy": {"0": i / 7, "1": 2}}
            entries.append(("vital", signs))
    entries += [("record", rf.result()), ("ended", rf.ended())]
    return [
        entry_line(Entry(seq, launch, rf.T0 + seq, 100.0 + seq / 4, kind, data))
        for seq, (kind, data) in enumerate(entries)
    ]


def read(
    path: Path, lines: Sequence[str], *, slowly: bool = False
) -> tuple[StepLog, pd.DataFrame, pd.DataFrame]:
    """Log, intervals, vitals."""
    path.write_text("".join(lines))
    course = Course()
    with pytest.MonkeyPatch.context() as patched:
        if slowly:
            patched.setattr(ledger, "read_block", lambda *_: None)
        patched.setattr(ledger, "_PIECE", 40_000)
        log = ledger.read_step(path, STEP.id, course)
    launches = {n: classify(STEP, n, e, []) for n, e in log.launches.items()}
    begins = {n: e[0].mono for n, e in log.launches.items()}
    intervals = joined(course.intervals("r", STEP, launches))
    return log, intervals, joined(course.vitals("r", STEP, begins))


def joined(parts: Iterable[pa.Table]) -> pd.DataFrame:
    frames = [part.to_pandas() for part in parts]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()


def assert_same(path: Path, lines: Sequence[str]) -> StepLog:
    """Both ways; what the quick one says."""
    quick, slow = read(path, lines), read(path, lines, slowly=True)
    assert quick[0] == slow[0]
    for a, b in zip(quick[1:], slow[1:], strict=True):
        pd.testing.assert_frame_equal(a, b)
    return quick[0]


def test_blocks_are_read_at_once_and_line_by_line_to_the_same(tmp_path: Path) -> None:
    lines = [*lines_of(0, 500), *lines_of(1, 300)]
    assert read_block("".join(lines).encode(), [x.strip().encode() for x in lines]) is not None
    log = assert_same(tmp_path / "j", lines)
    assert (log.faults, log.repeated) == ([], 0)
    assert [len(e) for e in log.launches.values()] == [4 + 50 + 50 + 1] * 2
    _, intervals, vitals = read(tmp_path / "j", lines)
    assert len(intervals) == 500 + 300 - 2 * 4
    assert intervals["value"].tolist()[:2] == [2008.0, 2010.0]
    assert intervals["t_s"].tolist()[:2] == [2.0, 2.5]
    assert set(intervals["seed"]) == {5}
    assert set(vitals["metric"]) == {"rss", "steal", "load_1m", "cpu_busy.0", "cpu_busy.1"}
    assert vitals["t_s"].iloc[0] == 0.75
    assert log.steal == (267, 267 * 10.5)


@given(st.lists(st.binary(max_size=60), max_size=20))
def test_the_checksum_of_a_line_is_that_of_the_entry(bodies: list[bytes]) -> None:
    lines = [body + b',"crc":"00000000"}' for body in bodies]
    assert checksums(lines).tolist() == [zlib.crc32(body + b"}") for body in bodies]


@pytest.mark.parametrize(
    "given",
    [
        {"metrics": {"depth": 3, "ops_per_second": 1.5}},
        {"metrics": {"depth": None, "odd": "text", "even": True}},
        {"metrics": "none"},
        {"metrics": [1, 2]},
        {"ops": None},
        {"dt": 0},
        {"t": None},
        {"ops": 1 << 60},
        {"phase": None},
        {"phase": 7},
        {"ops": "many"},
        {"ops": True},
        {"zz": {"type": "interval"}},
    ],
)
def test_what_a_program_may_print_is_read_the_same_both_ways(tmp_path: Path, given: dict[str, Any]) -> None:
    assert_same(tmp_path / "j", lines_of(0, 200, **given))


def test_a_record_that_holds_what_an_interval_looks_like_is_none(tmp_path: Path) -> None:
    lines = lines_of(0, 100)
    trap = {"a": {"type": "interval"}, "kind": "record", "launch": 1, "type": "violation", "contract": "C1"}
    end = rf.ended()
    lines[-1:] = [
        entry_line(Entry(len(lines) - 1, 0, rf.T0, 900.0, "record", trap)),
        entry_line(Entry(len(lines), 0, rf.T0, 900.0, "ended", end)),
    ]
    log = assert_same(tmp_path / "j", lines)
    assert [e.data["contract"] for e in log.launches[0] if e.data.get("type") == "violation"] == ["C1"]


@settings(max_examples=20)
@given(st.data())
def test_each_entry_is_taken_once_whatever_became_of_the_lines(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Repeated, left out, cut, changed, in another order: the same faults, and the rows of what was there, once."""
    lines = [*lines_of(0, 90), *lines_of(1, 70)]
    for what in data.draw(
        st.lists(st.sampled_from(["twice", "gone", "cut", "changed", "moved", "other"]), max_size=3)
    ):
        at = data.draw(st.integers(0, len(lines) - 2))
        if what == "twice":
            lines[at:at] = lines[at : at + data.draw(st.integers(1, 40))]
        elif what == "gone":
            del lines[at : at + data.draw(st.integers(1, 40))]
        elif what == "cut":
            lines[at] = lines[at][:-30] + "\n"
        elif what == "changed":
            lines[at] = lines[at].replace("1", "2", 1)
        elif what == "moved":
            lines.insert(data.draw(st.integers(0, len(lines) - 1)), lines.pop(at))
        else:
            lines.insert(at, entry_line(Entry(at, 0, rf.T0, 1.0, "vital", {"rss": 7})))
    path = tmp_path_factory.mktemp("lines") / "j"
    assert_same(path, lines)
    there: dict[tuple[int, int], Entry] = {}
    for line in lines:
        with contextlib.suppress(WireError):
            entry = parse_entry(line)
            there.setdefault((entry.launch, entry.seq), entry)
    measured = [e for e in there.values() if is_course(e) and e.data.get("phase") == "measure"]
    assert len(read(path, lines)[1]) == len(measured)


def long_run(root: Path) -> RunFolder:
    """Three steps of 700 intervals each."""
    steps = [rf.step(number=n) for n in range(3)]
    builder = rf.Builder.make(root, rf.plan(steps))
    rng = random.Random(1)
    for step in steps:
        records = [rf.interval("measure", i * 0.1, rng.randrange(1000, 2000), 0.1) for i in range(700)]
        good = rf.good_records(step)
        builder.launch(step, rf.launch_entries(step, 0, [good[0], *records, good[-1]])).say("step_done", step)
    return builder.finish()


def test_a_run_folder_with_long_journals_has_every_row_once_on_the_disk(tmp_path: Path) -> None:
    folder = long_run(tmp_path)
    rebuilt = rebuild(folder)
    rows = rebuilt.tables["intervals"]
    assert rows.groupby("step").size().tolist() == [700] * 3
    assert sorted(p.name for p in folder.tables.iterdir() if p.name.startswith(".")) == []
    aside = rebuild(folder, write=False).tables
    for table in ("intervals", "vitals"):
        pd.testing.assert_frame_equal(rebuilt.tables[table], aside[table])
    with pytest.raises(KeyError):
        rebuilt.tables["interval"]


def test_of_a_table_that_is_too_long_to_keep_a_steps_rows_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables = rebuild(long_run(tmp_path)).tables
    step = rf.step()
    asked = ["launch", "metric", "value", "unit", "t_s"]
    for table in ("intervals", "vitals"):
        kept = tables[table]
        with monkeypatch.context() as patched:
            patched.setattr(long, "_KEPT_ROWS", 0)
            read = of_step(tables, table, step)
        assert list(read.columns) == asked
        pd.testing.assert_frame_equal(read, kept[kept["step"] == step.id][asked].reset_index(drop=True))


def test_a_folder_that_cannot_be_written_is_said_and_left_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = long_run(tmp_path)
    rebuild(folder)
    before = {p.name: p.read_bytes() for p in folder.tables.iterdir()}

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("orchestrator.results.long.pq.ParquetWriter.write_table", full)
    with pytest.raises(RunFolderError, match="cannot be written: No space left"):
        rebuild(folder)
    assert {p.name: p.read_bytes() for p in folder.tables.iterdir()} == before
