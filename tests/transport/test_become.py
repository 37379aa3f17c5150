"""Commands as another user, by a real sudo: the one that logs in here is root, for whom it never asks."""

from __future__ import annotations

import contextlib
import os
import pwd
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.bundle.agent import agent_zipapp
from orchestrator.engine.ship import blob_path, ship
from orchestrator.errors import LoginRefused
from orchestrator.fleet import lease
from orchestrator.fleet.facts import read_facts
from orchestrator.model.plan import LeasePlan
from orchestrator.transport import Link, open_link

pytestmark = [
    pytest.mark.sshd,
    pytest.mark.skipif(os.geteuid() != 0, reason="sudo asks whoever is not root for a password"),
]
NOBODY = pwd.getpwnam("nobody").pw_uid


@pytest.fixture
def link(lab: Any) -> Iterator[Link]:
    with contextlib.closing(open_link(lab.address("h1", become="nobody"))) as opened:
        yield opened


@pytest.fixture
def folder() -> Iterator[Path]:
    """One that nobody may write to, in the way of a home: below one that all may enter."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as made:
        os.chown(made, NOBODY, -1)
        yield Path(made)


def test_every_verb_runs_as_the_other_user(link: Link, folder: Path, tmp_path: Path) -> None:
    assert link.run(["id", "-u"]).stdout == f"{NOBODY}\n".encode()
    with link.stream(["id", "-u"]) as running:
        assert b"".join(running.chunks()) == f"{NOBODY}\n".encode()
        assert running.exit() == 0
    (tmp_path / "source").write_bytes(b"x" * 100_000)
    link.put(tmp_path / "source", f"{folder}/there")
    assert (folder / "there").stat().st_uid == NOBODY
    link.get(f"{folder}/there", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == b"x" * 100_000


def test_input_output_status_and_signal_pass_through(link: Link) -> None:
    content = bytes(range(256)) * 4_000
    assert link.run(["cat"], stdin=content).stdout == content
    done = link.run(["sh", "-c", "echo out; echo err >&2; exit 7"])
    assert (done.exit, done.stdout, done.stderr) == (7, b"out\n", b"err\n")
    assert link.run(["sh", "-c", "kill -9 $$"]).exit == -9
    assert link.run(["sh", "-c", 'printf %s "$1"', "x", "a 'b' $c"]).stdout == b"a 'b' $c"


def test_what_is_shipped_and_run_is_the_other_users(link: Link, folder: Path) -> None:
    agent = agent_zipapp()
    shipped = ship(link, {agent.stem: agent}, f"{folder}/spool")
    assert Path(blob_path(shipped.spool, agent.stem)).stat().st_uid == NOBODY
    facts, _ = read_facts(link, agent, "/usr/bin/python3", shipped.spool)
    assert facts.spool_free_bytes > 0


def test_a_lease_is_taken_kept_shown_and_given_back_as_the_other_user(lab: Any, folder: Path) -> None:
    agent = agent_zipapp()
    plan = LeasePlan(longest_s=600.0, busy="fail", patience_s=0.0, ttl_s=600.0, what="tests")
    place = f"{folder}/place"
    mine = lab.address(
        "h1", become="nobody", spool=f"{folder}/spool", leases=place, python="/usr/bin/python3"
    )
    roots = lab.address("h1", leases=place)
    with contextlib.closing(open_link(mine)) as link, contextlib.closing(open_link(roots)) as other:
        held = lease.take(link, agent, mine, plan, "run-of-nobody", lease.id_of("run-of-nobody", "h1"))
        assert isinstance(held, lease.Held)
        assert {Path(p).stat().st_uid for p in (held.beat, place)} == {NOBODY}
        assert f"\nUid:\t{NOBODY}\t" in link.run(["cat", f"/proc/{held.keeper}/status"]).stdout.decode()
        assert lease.beat(link, held) == 0
        refused = lease.take(other, agent, roots, plan, "run-of-root", lease.id_of("run-of-root", "h1"))
        assert isinstance(refused, lease.Busy)
        assert refused.run == "run-of-nobody"
        assert lease.show(link, agent, mine)["lease"]["kept"]
        assert lease.release(link, agent, mine, held.id)["released"]
        assert lease.beat(link, held) == lease.ENDED
        assert lease.show(other, agent, roots)["lease"] is None


def test_a_user_that_is_not_there_is_a_refused_login(lab: Any) -> None:
    with pytest.raises(LoginRefused, match=r"no way to become no-such-user: unknown user") as caught:
        open_link(lab.address("h1", become="no-such-user"))
    assert "NOPASSWD" in caught.value.hint


def test_a_host_without_sudo_says_so(lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from orchestrator.transport import ssh

    real = ssh.SshLink

    def without(host: str, session: Any, prefix: Any, pace: float) -> Any:
        words = tuple("/nonexistent/sudo" if word == "sudo" else word for word in prefix)
        return real(host, session, words, pace)

    monkeypatch.setattr(ssh, "SshLink", without)
    with pytest.raises(LoginRefused, match="there is no sudo on the host"):
        open_link(lab.address("h1", become="nobody"))
