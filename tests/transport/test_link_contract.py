"""What every link does, whichever it is. Run over each transport of the table."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from orchestrator.errors import LinkTimeout, RemoteFailed
from orchestrator.model.address import Address
from orchestrator.transport import OPENERS, Connections, Link, open_link, open_retrying

pytestmark = pytest.mark.sshd

BINARY = bytes(range(256)) * 20_000  # 5 MB with every byte value


@pytest.fixture(scope="module", params=[*OPENERS, "retrying over shared"])
def link(request: pytest.FixtureRequest) -> Iterator[Link]:
    local = Address(name="here", local=True)
    address = local if request.param == "local" else request.getfixturevalue("lab").address("h1")
    opened: Link
    with Connections(open_link) as ways:
        if request.param == "retrying over shared":
            opened = open_retrying(address, opener=ways.open)
        else:
            opened = open_link(address)
        yield opened
        opened.close()


def shell(script: str) -> list[str]:
    return ["sh", "-c", script]


def test_run_returns_status_output_and_error(link: Link) -> None:
    done = link.run(shell("echo out; echo err >&2; exit 7"))
    assert (done.exit, done.stdout, done.stderr) == (7, b"out\n", b"err\n")


@pytest.mark.parametrize("number", [1, 6, 9, 11, 15])
def test_a_signal_is_minus_its_number(link: Link, number: int) -> None:
    sound = ["env", "--default-signal"]  # nohup leaves one ignored
    assert link.run([*sound, *shell(f"ulimit -c 0; kill -{number} $$")]).exit == -number


def test_an_exit_status_that_looks_like_a_signal_stays_one(link: Link) -> None:
    assert link.run(shell("exit 143")).exit == 143


def test_a_program_that_is_not_there_is_exit_127(link: Link) -> None:
    done = link.run(["/nonexistent/program"])
    assert done.exit == 127
    assert b"not found" in done.stderr or b"No such file" in done.stderr


def test_standard_input_arrives_whole_and_ends(link: Link) -> None:
    assert link.run(["cat"], stdin=BINARY).stdout == BINARY


def test_without_standard_input_a_command_reads_its_end_at_once(link: Link) -> None:
    assert link.run(["cat"], timeout_s=20).stdout == b""


def test_a_command_need_not_read_its_input(link: Link) -> None:
    assert link.run(["true"], stdin=BINARY).exit == 0


def test_much_standard_error_does_not_stop_a_command(link: Link) -> None:
    done = link.run(shell("head -c 5000000 /dev/zero >&2; echo done"), timeout_s=60)
    assert done.stdout == b"done\n"
    assert len(done.stderr) == 5_000_000


def test_arguments_arrive_as_they_were_given(link: Link) -> None:
    odd = [
        "a b",
        "'",
        '"',
        "$HOME",
        "`id`",
        "*",
        "",
        "ü",
        "\\",
        "a\nb",
        "--",
        "-n",
        "~",
        "!x",
        "#",
        "a;b",
        "$(id)",
    ]
    done = link.run(["printf", "%s\\0", *odd])
    assert done.stdout.decode().split("\0")[:-1] == odd


def test_a_command_that_takes_too_long_is_a_timeout_and_the_link_lives_on(link: Link) -> None:
    before = time.monotonic()
    with pytest.raises(LinkTimeout, match="sleep"):
        link.run(["sleep", "30"], timeout_s=0.3)
    assert time.monotonic() - before < 10
    assert link.run(["true"]).exit == 0


def test_a_command_that_writes_for_ever_is_a_timeout(link: Link) -> None:
    with pytest.raises(LinkTimeout):
        link.run(shell("while :; do echo x; sleep 0.05; done"), timeout_s=0.5)


def test_a_stream_gives_output_as_it_comes(link: Link) -> None:
    with link.stream(shell("echo one; read x; echo two"), stdin=b"go\n") as running:
        assert b"".join(running.chunks()) == b"one\ntwo\n"
        assert running.exit() == 0


def test_a_stream_does_not_wait_for_the_end_of_the_command(link: Link) -> None:
    with link.stream(shell("echo first; sleep 30")) as running:
        before = time.monotonic()
        assert next(iter(running.chunks())) == b"first\n"
        assert time.monotonic() - before < 10


def test_a_stream_carries_every_byte(link: Link) -> None:
    with link.stream(["cat"], stdin=BINARY) as running:
        assert b"".join(running.chunks()) == BINARY
        assert running.exit() == 0


def test_a_stream_tells_status_and_the_end_of_standard_error(link: Link) -> None:
    with link.stream(shell("head -c 200000 /dev/zero | tr '\\0' e >&2; echo last >&2; exit 5")) as running:
        assert list(running.chunks()) == []
        assert running.exit() == 5
        said = running.stderr()
    assert said.endswith(b"eeelast\n")
    assert len(said) <= 64 * 1024


def test_a_stream_of_a_missing_program_ends_with_127(link: Link) -> None:
    with link.stream(["/nonexistent/program"]) as running:
        assert list(running.chunks()) == []
        assert running.exit() == 127


def test_a_silent_stream_is_a_timeout(link: Link) -> None:
    before = time.monotonic()
    with (
        link.stream(shell("echo x; sleep 30"), idle_s=0.5) as running,
        pytest.raises(LinkTimeout, match="nothing"),
    ):
        list(running.chunks())
    assert time.monotonic() - before < 10


def test_a_stream_that_speaks_now_and_then_is_not_idle(link: Link) -> None:
    # a busy machine may be late by as much as a silence may last: then all of it more slowly
    for slower in (1, 5, 25):
        script = f"for i in 1 2 3 4 5 6 7 8; do sleep {0.2 * slower}; echo; done"
        try:
            with link.stream(shell(script), idle_s=1.2 * slower) as running:
                assert b"".join(running.chunks()) == b"\n" * 8
        except LinkTimeout:
            continue
        return
    pytest.fail("whatever the pace, a stream that speaks ends as an idle one")


def test_a_stream_can_be_left_and_the_link_lives_on(link: Link) -> None:
    with link.stream(shell("while :; do echo x; done")) as running:
        next(iter(running.chunks()))
    assert link.run(["echo", "still"]).stdout == b"still\n"


def test_put_and_get_carry_every_byte(link: Link, tmp_path: Path) -> None:
    source, there, back = tmp_path / "source", tmp_path / "there", tmp_path / "back"
    source.write_bytes(BINARY)
    link.put(source, str(there))
    link.get(str(there), back)
    assert there.read_bytes() == BINARY
    assert back.read_bytes() == BINARY


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o755])
def test_put_gives_the_mode_that_was_asked_for(link: Link, tmp_path: Path, mode: int) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"")
    link.put(source, str(tmp_path / "there"), mode=mode)
    assert (tmp_path / "there").stat().st_mode & 0o7777 == mode


def test_put_takes_odd_names_and_a_path_below_the_home_directory(link: Link, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_text("x")
    link.put(source, str(tmp_path / "it's $HOME -n"))
    assert (tmp_path / "it's $HOME -n").read_text() == "x"
    relative = os.path.relpath(tmp_path / "by-path", Path.home())
    link.put(source, relative)
    assert (tmp_path / "by-path").read_text() == "x"


def test_put_replaces_a_file_as_a_whole(link: Link, tmp_path: Path) -> None:
    source, there = tmp_path / "source", tmp_path / "there"
    there.write_text("old")
    held = there.open()
    source.write_text("new")
    link.put(source, str(there))
    assert there.read_text() == "new"
    # a rename: whoever had the old one open still reads the old one
    assert held.read() == "old"
    held.close()


def test_put_leaves_nothing_behind_when_it_cannot(link: Link, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_text("x")
    with pytest.raises(RemoteFailed, match="there"):
        link.put(source, str(tmp_path / "missing" / "there"))
    with pytest.raises(RemoteFailed, match="no-source"):
        link.put(tmp_path / "no-source", str(tmp_path / "there"))
    assert [p.name for p in tmp_path.iterdir()] == ["source"]


def test_get_of_a_missing_file_leaves_nothing_behind(link: Link, tmp_path: Path) -> None:
    with pytest.raises(RemoteFailed, match="nothing-here"):
        link.get(str(tmp_path / "nothing-here"), tmp_path / "back")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_said_and_leaves_nothing_behind(
    link: Link, tmp_path: Path, small_disk: Callable[[Link], str]
) -> None:
    source = tmp_path / "source"
    source.write_bytes(BINARY)
    folder = small_disk(link)
    with pytest.raises(RemoteFailed, match="No space left"):
        link.put(source, f"{folder}/there")
    assert link.run(["ls", "-A", folder]).stdout == b""


def test_close_may_be_called_twice(lab: object, request: pytest.FixtureRequest) -> None:
    for address in (Address(name="here", local=True), request.getfixturevalue("lab").address("h1")):
        opened = open_link(address)
        opened.close()
        opened.close()


def test_every_kind_of_link_knows_its_host(link: Link) -> None:
    assert link.host in ("here", "h1")
