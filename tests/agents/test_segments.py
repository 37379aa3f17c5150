"""A journal in pieces: whatever becomes of them, a reader gets each byte once, from any offset."""

from __future__ import annotations

import gzip
import itertools
import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents import segments
from agents.journal import Reader, Writer, ended
from agents.limits import descendants, reap
from agents.segments import Packer
from tests.agents.conftest import Host, wait_for
from tests.agents.test_launch_ends import HELLO


def everything(path: Path, offset: int = 0) -> bytes:
    reader = Reader(path, offset)
    got = b""
    while piece := reader.read():
        got += piece
    reader.close()
    return got


def fill(writer: Writer, count: int) -> None:
    for _ in range(count):
        writer.add("note", {"text": "x" * 40})
        writer.flush()


def pack_all(writer: Writer, packer: Packer) -> None:
    packer.waiting += writer.closed
    writer.closed.clear()
    while packer.waiting or packer.pids():
        packer.turn()
        for pid in packer.pids():
            packer.reaped({pid: (os.waitpid(pid, 0)[1], 0)})


def test_a_piece_is_as_large_as_the_journal_may_get_allows() -> None:
    assert segments.segment_bytes(64 << 20) == 8 << 20
    assert segments.segment_bytes(1 << 40) == 16 << 20
    assert segments.segment_bytes(1) == 16 << 10


@pytest.mark.parametrize("program", ["zstd", None])
def test_pieces_are_packed_and_read_from_any_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str | None
) -> None:
    if program is None:
        monkeypatch.setattr("agents.segments.shutil.which", lambda _: None)
    path = tmp_path / "j"
    writer = Writer(path, 0, 2000)
    fill(writer, 100)
    whole = everything(path)
    assert len(whole) == writer.size == segments.size(path)
    pack_all(writer, Packer())
    pieces = segments.closed(path)
    assert len(pieces) > 3
    assert {p.packed for p in pieces} == {".zst" if program else ".gz"}
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(
        ["j", "reserve", *(p.path.name for p in pieces)]
    )
    assert pieces[0].start == 0
    assert all(a.end == b.start for a, b in itertools.pairwise(pieces))
    at = 0
    for line in whole.splitlines(keepends=True):
        assert everything(path, at) == whole[at:]
        at += len(line)
    assert everything(path, at) == b""
    writer.close()


def test_a_piece_of_a_power_cut_is_read_although_its_packing_was_not_finished(tmp_path: Path) -> None:
    path = tmp_path / "j"
    writer = Writer(path, 0, 2000)
    fill(writer, 60)
    first, second = writer.closed[:2]
    whole = everything(path)
    # of the first the packed one is there as well, of the second only half of it
    subprocess.run(["zstd", "-q", str(first)], check=True)
    second.with_name(second.name + ".part").write_bytes(b"(\xb5/\xfd")
    assert everything(path) == whole
    writer.close()


def test_the_last_word_is_in_the_live_file_however_small_the_pieces(tmp_path: Path) -> None:
    path = tmp_path / "j"
    writer = Writer(path, 0, 1)
    fill(writer, 3)
    writer.add("ended", {"reason": "exited"})
    writer.flush()
    found = ended(path)
    assert found is not None
    assert found.seq == 3
    assert len(segments.closed(path)) == 3
    writer.close()


def test_nothing_is_made_up_for_a_piece_that_is_gone_or_damaged(tmp_path: Path) -> None:
    path = tmp_path / "j"
    writer = Writer(path, 0, 2000)
    fill(writer, 100)
    first, second = writer.closed[:2]
    first.unlink()
    second.write_bytes(b"")
    assert everything(path) == b""
    assert everything(path, int(second.name[2:17])) == b""
    assert everything(path, int(second.name[18:33])) != b""
    writer.close()


@given(st.data())
def test_a_reader_loses_nothing_and_repeats_nothing_while_pieces_are_closed_and_packed(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("pieces") / "j"
    writer, reader, packed = Writer(path, 0, data.draw(st.integers(1, 800))), Reader(path), 0
    got = b""
    for turn in data.draw(st.lists(st.sampled_from(["write", "write", "read", "pack"]), max_size=30)):
        if turn == "write":
            fill(writer, 1)
        elif turn == "read":
            got += reader.read(data.draw(st.integers(1, 400)))
        elif writer.closed:
            source = writer.closed.pop(0)
            with source.open("rb") as f, gzip.open(f"{source}.gz", "wb") as out:
                shutil.copyfileobj(f, out)
            source.unlink()
            packed += 1
    while piece := reader.read():
        got += piece
    assert got == everything(path)
    assert len(got) == writer.size == reader.offset
    reader.close()
    writer.close()


def test_what_cannot_be_packed_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "j"
    writer = Writer(path, 0, 2000)
    fill(writer, 60)
    whole = everything(path)
    packer = Packer()
    packer.waiting += writer.closed
    packer.turn()
    (pid,) = packer.pids()
    os.kill(pid, signal.SIGKILL)
    packer.reaped({pid: (os.waitpid(pid, 0)[1], 0)})
    assert packer.pids() == set()
    packer.turn()
    packer.close()
    assert packer.pids() == set()
    assert not list(tmp_path.glob("*.part"))
    assert everything(path) == whole
    writer.close()
    reap()


def test_a_launch_with_a_long_journal_is_packed_while_it_runs_and_read_back_from_any_piece(
    host: Host,
) -> None:
    code = (
        """import glob, time\nsay = lambda x: print(x, flush=True)\nsay('{"type":"hello","protocol":1}')\n"""
        """one = lambda i: say('{"type":"interval","phase":"measure","t":%d,"dt":1,"ops":%d}' % (i, i * 7919))\n"""
        """i = 3000\nfor k in range(i): one(k)\n"""
        # its folder is where it runs; a piece is closed before more is written, and packing ends with the launch
        """while not glob.glob('journal.ndjson.*.gz') + glob.glob('journal.ndjson.*.zst'): one(i); i += 1; time.sleep(0.2)\n"""
        """say('{"type":"result","status":"ok"}')"""
    )
    order = host.harness_order(code, output_bytes=1 << 20, wall_s=240.0)
    host.start(order)
    path = host.launch_folder(order) / "journal.ndjson"
    assert wait_for(lambda: any(p.packed for p in segments.closed(path)), 240.0)
    done = host.follow(order)
    assert done.returncode == 0, done.stderr
    data = b"".join(x for x in done.stdout.splitlines(keepends=True) if x != b"\n")
    assert data == everything(path)
    assert host.status(order)["journal_bytes"] == len(data)
    assert data.count(b'"kind":"ended"') == 1
    assert b'"reason":"exited"' in data.splitlines()[-1]
    assert data.count(b'"type":"interval"') > 2500
    middle = data.index(b"\n", len(data) // 2) + 1
    assert host.follow(order, middle).stdout == data[middle:]
    assert host.follow(order, len(data)).stdout == b""
    assert (host.launch_folder(order) / "agent.log").read_text() == ""


def test_whoever_packs_is_none_of_the_workloads_processes(host: Host) -> None:
    """It is not ended with them, not counted with them, and not waited for."""
    code = (
        HELLO + """for i in range(2000): say('{"type":"interval","t":%d,"ops":%d}' % (i, i))\n"""
        """say('{"type":"result","status":"ok"}')"""
    )
    order = host.harness_order(code, output_bytes=400_000)
    host.start(order)
    done = host.follow(order)
    assert b"left behind" not in done.stdout
    assert b'"reason":"exited"' in done.stdout
    assert [p for p in descendants(os.getpid()) if p.pid == host.supervisor(order)] == []
