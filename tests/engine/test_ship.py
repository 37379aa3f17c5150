"""Blobs on a host: sent once, checked there, whole or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.engine.ship import blob_path, resolve_spool, ship
from orchestrator.errors import RemoteFailed
from orchestrator.model.address import Address
from orchestrator.transport import Link, open_link

pytestmark = pytest.mark.sshd

CONTENT = bytes(range(256)) * 4000  # 1 MB


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
    assert ship(link, things, spool) == len(CONTENT) + len(b"small")
    assert ship(link, things, spool) == 0
    for digest in things:
        there = Path(blob_path(spool, digest))
        assert hashlib.sha256(there.read_bytes()).hexdigest() == digest
        assert there.stat().st_mode & 0o777 == 0o755
    assert {p.name for p in Path(spool, "blobs").iterdir()} == set(things)


def test_only_what_is_missing_is_sent(link: Link, tmp_path: Path) -> None:
    spool = str(tmp_path / "spool")
    ship(link, blobs(tmp_path, CONTENT), spool)
    assert ship(link, blobs(tmp_path, CONTENT, b"new"), spool) == len(b"new")
    assert ship(link, {}, spool) == 0


@pytest.mark.parametrize("damage", [b"", CONTENT[:-1], CONTENT[:-1] + b"x"])
def test_a_blob_that_is_not_what_its_name_says_is_sent_again(
    link: Link, tmp_path: Path, damage: bytes
) -> None:
    spool = str(tmp_path / "spool")
    things = blobs(tmp_path, CONTENT)
    ship(link, things, spool)
    there = Path(blob_path(spool, *things))
    there.write_bytes(damage)
    assert ship(link, things, spool) == len(CONTENT)
    assert there.read_bytes() == CONTENT


def test_a_blob_that_lost_its_mode_gets_it_back(link: Link, tmp_path: Path) -> None:
    spool = str(tmp_path / "spool")
    things = blobs(tmp_path, b"x")
    ship(link, things, spool)
    there = Path(blob_path(spool, *things))
    there.chmod(0o600)
    assert ship(link, things, spool) == 0
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


def test_a_tilde_is_the_home_directory_on_the_host(link: Link) -> None:
    home = link.run(["sh", "-c", 'printf %s "$HOME"']).stdout.decode()
    assert resolve_spool(link, "~/.cache/orch") == f"{home}/.cache/orch"
    assert resolve_spool(link, "/absolute/~/path") == "/absolute/~/path"
    with pytest.raises(RemoteFailed, match="only ~/"):
        resolve_spool(link, "~somebody/orch")


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
