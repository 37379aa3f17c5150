"""The journal file: whole lines, numbers without a gap, and nothing visible that changes later."""

from __future__ import annotations

import errno
import math
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.journal import JournalFull, Reader, Writer, ended, last_entry
from agents.wire import Entry, parse_entry


def written(path: Path) -> list[Entry]:
    return [parse_entry(line) for line in path.read_text().splitlines()]


def test_nothing_is_visible_before_flush_and_all_of_it_after(tmp_path: Path) -> None:
    path = tmp_path / "j"
    writer = Writer(path, 3)
    writer.add("note", {"text": "one"})
    writer.add("note", {"text": "two"}, t=1.5, mono=2.5)
    assert path.read_bytes() == b""
    writer.flush()
    entries = written(path)
    assert [(e.seq, e.launch, e.data["text"]) for e in entries] == [(0, 3, "one"), (1, 3, "two")]
    assert (entries[1].t, entries[1].mono) == (1.5, 2.5)
    assert writer.size == path.stat().st_size
    writer.close()
    writer.close()


def test_a_journal_is_never_written_over(tmp_path: Path) -> None:
    Writer(tmp_path / "j", 0).close()
    with pytest.raises(FileExistsError):
        Writer(tmp_path / "j", 0)


@pytest.mark.parametrize("refuse_at", [0, 1, 2, 3])
def test_a_disk_that_fills_up_leaves_whole_lines_and_no_gap(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refuse_at: int
) -> None:
    path = tmp_path / "j"
    writer = Writer(path, 0)
    writer.add("note", {"text": "before"})
    writer.flush()
    before = path.read_bytes()
    real: Callable[[int, memoryview], int] = os.write
    calls = 0

    def filling(fd: int, data: memoryview) -> int:
        nonlocal calls
        calls += 1
        if calls > refuse_at:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(fd, data[:10])

    with monkeypatch.context() as patched:
        patched.setattr("agents.journal.os.write", filling)
        writer.add("note", {"text": "lost"})
        writer.add("note", {"text": "lost, too"})
        with pytest.raises(JournalFull, match="No space left"):
            writer.flush()
    assert path.read_bytes() == before
    assert path.with_name("reserve").stat().st_size >= 4096
    writer.release_reserve()
    assert not path.with_name("reserve").exists()
    writer.add("ended", {"reason": "disk"})
    writer.flush()
    assert [(e.seq, e.kind) for e in written(path)] == [(0, "note"), (1, "ended")]
    writer.close()


def test_no_room_for_the_last_words_means_no_journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(fd: int, data: memoryview) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("agents.journal.os.write", full)
    with pytest.raises(OSError, match="No space left"):
        Writer(tmp_path / "j", 0)
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_written_as_json_leaves_no_gap(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "j", 0)
    with pytest.raises(ValueError, match="JSON"):
        writer.add("record", {"x": math.inf})
    writer.add("note", {})
    writer.flush()
    assert [e.seq for e in written(tmp_path / "j")] == [0]
    writer.close()


def test_a_sync_is_due_once_a_second_and_only_after_a_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = Writer(tmp_path / "j", 0)
    assert writer.sync_due(1e9) is None
    writer.add("note", {})
    assert writer.sync_due(1e9) is None
    writer.flush()
    assert writer.sync_due(1e9) == 0.0
    monkeypatch.setattr("agents.journal.time.monotonic", lambda: 50.0)
    writer.sync()
    writer.add("note", {})
    writer.flush()
    assert writer.sync_due(50.25) == 0.75
    writer.close()


@given(st.lists(st.binary(max_size=30).map(lambda b: b.replace(b"\n", b"") + b"\n"), max_size=20), st.data())
def test_a_reader_gives_each_byte_once_and_whole_lines_only(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("reader") / "j"
    reader = Reader(path)
    assert reader.read() == b""
    whole = b"".join(lines)
    got = b""
    with path.open("wb", buffering=0) as f:
        at = 0
        while at < len(whole):
            step = data.draw(st.integers(1, len(whole) - at))
            f.write(whole[at : at + step])
            at += step
            piece = reader.read(data.draw(st.integers(1, 64)))
            assert piece == b"" or piece.endswith(b"\n")
            got += piece
        while piece := reader.read():
            got += piece
    assert got == whole
    assert reader.offset == len(whole)
    reader.close()
    reader.close()


def test_the_last_entry_is_the_one_on_the_last_whole_line(tmp_path: Path) -> None:
    path = tmp_path / "j"
    assert last_entry(path) is None
    writer = Writer(path, 0)
    assert last_entry(path) is None
    writer.add("record", {"x": "y" * 100_000})
    writer.flush()
    assert last_entry(path) is None  # too long to be an `ended`
    writer.add("ended", {"reason": "exited"})
    writer.flush()
    with path.open("ab") as f:
        f.write(b'{"half')
    found = ended(path)
    assert found is not None
    assert (found.seq, found.data) == (1, {"reason": "exited"})
    with path.open("ab") as f:
        f.write(b"\n")
    assert ended(path) is None
    writer.close()
