"""Blobs on a host: sent once, checked there, whole or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from orchestrator.engine import ship as ship_module
from orchestrator.engine.ship import blob_path, ship
from orchestrator.errors import LinkLost, RemoteFailed
from orchestrator.model.address import Address
from orchestrator.transport import Backoff, Completed, Link, open_link

pytestmark = pytest.mark.sshd

CONTENT = random.Random(1).randbytes(1_000_000)  # cannot be packed


@pytest.fixture(params=["local", "ssh"])
def link(request: pytest.FixtureRequest, home: Path) -> Iterator[Link]:
    local = Address(name="here", local=True)
    address = local if request.param == "local" else request.getfixturevalue("lab").address("h1")
    with contextlib.closing(open_link(address)) as opened:
        yield opened


def blobs(folder: Path, *contents: bytes) -> dict[str, Path]:
    made = {}
    for number, content in enumerate(contents):
        digest = hashlib.sha256(content).hexdigest()
        made[digest] = folder / f"blob{number}"
        made[digest].write_bytes(content)
    return made


def test_what_is_missing_is_sent_and_the_second_time_nothing(link: Link, tmp_path: Path) -> None:
    spool = str(tmp_path / "spool with 'odd' name")
    things = blobs(tmp_path, CONTENT, b"small")
    assert ship(link, things, spool).bytes_sent >= len(CONTENT)
    assert ship(link, things, spool).bytes_sent == 0
    for digest in things:
        there = Path(blob_path(spool, digest))
        assert hashlib.sha256(there.read_bytes()).hexdigest() == digest
        assert there.stat().st_mode & 0o777 == 0o755
    assert {p.name for p in Path(spool, "blobs").iterdir()} == set(things)


def test_only_what_is_missing_is_sent(link: Link, tmp_path: Path) -> None:
    spool = str(tmp_path / "spool")
    ship(link, blobs(tmp_path, CONTENT), spool)
    assert 0 < ship(link, blobs(tmp_path, CONTENT, b"new"), spool).bytes_sent < 100
    assert ship(link, {}, spool).bytes_sent == 0


@pytest.mark.parametrize("damage", [b"", CONTENT[:-1], CONTENT[:-1] + b"x"])
def test_a_blob_that_is_not_what_its_name_says_is_sent_again(
    link: Link, tmp_path: Path, damage: bytes
) -> None:
    spool = str(tmp_path / "spool")
    things = blobs(tmp_path, CONTENT)
    ship(link, things, spool)
    there = Path(blob_path(spool, *things))
    there.write_bytes(damage)
    assert ship(link, things, spool).bytes_sent >= len(CONTENT)
    assert there.read_bytes() == CONTENT


def test_a_blob_that_lost_its_mode_gets_it_back(link: Link, tmp_path: Path) -> None:
    spool = str(tmp_path / "spool")
    things = blobs(tmp_path, b"x")
    ship(link, things, spool)
    there = Path(blob_path(spool, *things))
    there.chmod(0o600)
    assert ship(link, things, spool).bytes_sent == 0
    assert there.stat().st_mode & 0o777 == 0o755


def test_a_file_with_another_digest_never_gets_the_name(link: Link, tmp_path: Path) -> None:
    spool = str(tmp_path / "spool")
    source = tmp_path / "source"
    source.write_bytes(b"not that")
    with pytest.raises(RemoteFailed, match="digest differs"):
        ship(link, {"0" * 64: source}, spool)
    assert list(Path(spool, "blobs").iterdir()) == []


def test_a_full_disk_is_said_and_no_part_of_a_blob_stays(
    link: Link, tmp_path: Path, small_disk: Callable[[Link], str]
) -> None:
    folder = small_disk(link)
    with pytest.raises(RemoteFailed, match="No space left on device") as caught:
        ship(link, blobs(tmp_path, CONTENT * 3), f"{folder}/spool")
    assert caught.value.where == link.host
    assert link.run(["ls", "-A", f"{folder}/spool/blobs"]).stdout == b""


def test_a_spool_that_cannot_be_made_is_said(link: Link, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RemoteFailed, match=r"cannot make .*/file/spool/blobs"):
        ship(link, blobs(tmp_path, b"x"), str(tmp_path / "file" / "spool"))


def test_what_a_cut_copy_left_long_ago_is_removed(link: Link, tmp_path: Path) -> None:
    folder = tmp_path / "spool" / "blobs"
    folder.mkdir(parents=True)
    (folder / ".old.part").write_text("x")
    (folder / ".new.part").write_text("x")
    os.utime(folder / ".old.part", (0, 0))
    things = blobs(tmp_path, b"x")
    ship(link, things, str(tmp_path / "spool"))
    assert {p.name for p in folder.iterdir()} == {".new.part", *things}


def test_a_tilde_is_the_home_directory_on_the_host(link: Link, tmp_path: Path) -> None:
    home = link.run(["sh", "-c", 'printf %s "$HOME"']).stdout.decode()
    name = f"orch-{tmp_path.name}"
    try:
        assert ship(link, {}, f"~/{name}").spool == f"{home}/{name}"
    finally:
        link.run(["rm", "-rf", f"{home}/{name}"])
    with pytest.raises(RemoteFailed, match="only ~/"):
        ship(link, {}, "~somebody/orch")


def test_a_name_that_is_no_digest_is_refused_before_anything_is_sent(link: Link, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no"):
        ship(link, {"../../etc/passwd": tmp_path}, str(tmp_path / "spool"))
    assert not (tmp_path / "spool").exists()


def test_a_blob_can_be_executed_where_it_lies(link: Link, tmp_path: Path) -> None:
    spool = str(tmp_path / "spool")
    things = blobs(tmp_path, b"#!/bin/sh\necho ran $1\n")
    ship(link, things, spool)
    done: Any = link.run([blob_path(spool, *things), "it"])
    assert done.stdout == b"ran it\n"


def zeros(folder: Path) -> dict[str, Path]:
    return blobs(folder, bytes(3_000_000))


def test_what_can_be_packed_travels_packed(link: Link, tmp_path: Path) -> None:
    things = zeros(tmp_path)
    assert 0 < ship(link, things, str(tmp_path / "spool")).bytes_sent < 10_000
    assert ship(link, things, str(tmp_path / "other"), pack=False).bytes_sent == 3_000_000


def test_a_host_that_cannot_unpack_gets_it_plain(tmp_path: Path, home: Path) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("sh", "cat", "mkdir", "find", "rm", "wc", "mv", "chmod", "sha256sum", "head"):
        found = shutil.which(name)
        assert found is not None
        (programs / name).symlink_to(found)
    things = zeros(tmp_path)
    link = WithPath(open_link(Address(name="here", local=True)), programs)
    assert ship(link, things, str(tmp_path / "spool")).bytes_sent == 3_000_000
    assert Path(blob_path(str(tmp_path / "spool"), *things)).read_bytes() == bytes(3_000_000)


@dataclass
class WithPath:
    """A host with these programs alone."""

    inner: Link
    programs: Path

    @property
    def host(self) -> str:
        return self.inner.host

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout_s: float = 60.0) -> Completed:
        return self.inner.run(
            ["/usr/bin/env", f"PATH={self.programs}", *argv], stdin=stdin, timeout_s=timeout_s
        )

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


@dataclass
class Cutting:
    """A link that is lost after so many bytes of what it sends, one number for each time."""

    inner: Link
    cuts: list[int]
    sent: list[int] = field(default_factory=list)

    @property
    def host(self) -> str:
        return self.inner.host

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout_s: float = 60.0) -> Completed:
        if not stdin or not self.cuts:
            self.sent += [len(stdin)] if stdin else []
            return self.inner.run(argv, stdin=stdin, timeout_s=timeout_s)
        after = self.cuts.pop(0)
        self.sent.append(after)
        # what a host sees of it: the input ends
        self.inner.run(argv, stdin=stdin[:after], timeout_s=timeout_s)
        raise LinkLost(self.host, "cut")

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


@pytest.mark.parametrize("pack", [False, True])
def test_a_copy_that_was_cut_goes_on_from_where_it_was(
    link: Link, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pack: bool
) -> None:
    monkeypatch.setattr(Backoff, "wait", lambda self, failed: None)
    monkeypatch.setattr(ship_module, "_AT_ONCE", 0)  # as of a large one
    things = blobs(tmp_path, CONTENT)
    cut = Cutting(link, [200_000] * 4)  # more often than a link may be lost without progress
    spool = str(tmp_path / "spool")
    ship(cut, things, spool, pack=pack)
    assert cut.sent[:4] == [200_000] * 4
    assert sum(cut.sent) == pytest.approx(len(CONTENT), abs=1000)
    assert Path(blob_path(spool, *things)).read_bytes() == CONTENT
    assert {p.name for p in Path(spool, "blobs").iterdir()} == set(things)


def test_the_next_run_goes_on_where_the_last_one_was_cut(
    link: Link, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Backoff, "wait", lambda self, failed: None)
    things, spool = blobs(tmp_path, CONTENT), str(tmp_path / "spool")
    with pytest.raises(LinkLost):
        ship(Cutting(link, [300_000, 0, 0, 0]), things, spool, pack=False)
    assert ship(link, things, spool, pack=False).bytes_sent == len(CONTENT) - 300_000


@pytest.mark.parametrize("cut", [0, 1, 150_000])
def test_what_is_unpacked_as_it_arrives_is_sent_again_where_it_was_cut_and_nothing_of_it_stays(
    link: Link, tmp_path: Path, cut: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Backoff, "wait", lambda self, failed: None)
    things, spool = blobs(tmp_path, CONTENT), tmp_path / "spool"
    cutting = Cutting(link, [cut])
    ship(cutting, things, str(spool))
    assert len(cutting.sent) == 2
    assert cutting.sent[1] > 150_000
    assert Path(blob_path(str(spool), *things)).read_bytes() == CONTENT
    assert {p.name for p in (spool / "blobs").iterdir()} == set(things)


def test_a_damaged_part_is_not_gone_on_from_twice(link: Link, tmp_path: Path) -> None:
    things, spool = blobs(tmp_path, CONTENT), tmp_path / "spool"
    digest = next(iter(things))
    (spool / "blobs").mkdir(parents=True)
    mark = hashlib.sha256(CONTENT).hexdigest()[:16]
    (spool / "blobs" / f".{digest}.{mark}.aa.part").write_bytes(b"not what it should be")
    with pytest.raises(RemoteFailed, match="digest differs"):
        ship(link, things, str(spool), pack=False)
    assert ship(link, things, str(spool), pack=False).bytes_sent == len(CONTENT)


def test_whoever_sends_the_same_at_the_same_time_has_it_in_the_end(
    request: pytest.FixtureRequest, home: Path, tmp_path: Path
) -> None:
    address = request.getfixturevalue("lab").address("h1")
    spool = str(tmp_path / "spool")
    things = blobs(tmp_path, CONTENT, CONTENT[:-1], CONTENT[1:])

    def one(_: int) -> str:
        with contextlib.closing(open_link(address)) as link:
            return ship(link, things, spool).spool

    with ThreadPoolExecutor(6) as pool:
        assert set(pool.map(one, range(6))) == {spool}
    assert {p.name for p in Path(spool, "blobs").iterdir()} == set(things)


def test_a_part_that_another_has_taken_away_does_no_harm_where_the_blob_is_there(
    link: Link, tmp_path: Path
) -> None:
    things, spool = blobs(tmp_path, CONTENT), str(tmp_path / "spool")
    ship(link, things, spool, pack=False)
    digest = next(iter(things))
    # the other one was quicker, and has removed what we go on from
    about = [digest, str(len(CONTENT)), "plain", ".mine.part", "5", f".{digest}.gone.part"]
    argv = ["sh", "-c", ship_module._TAKE, "take", f"{spool}/blobs", *about]
    assert link.run(argv, stdin=CONTENT[5:]).exit == 0
    Path(blob_path(spool, digest)).unlink()
    assert link.run(argv, stdin=CONTENT[5:]).exit == 1
    assert list(Path(spool, "blobs").iterdir()) == []
