"""One connection that many share: when another is opened, and when one is closed."""

from __future__ import annotations

import contextlib
import threading
from typing import Any

import pytest
from scripted import Script

from orchestrator.errors import LinkLost, LinkTimeout, LoginRefused, Unreachable
from orchestrator.model.address import Address
from orchestrator.transport import Backoff, Connections, open_link, open_retrying

HOST = Address(name="h")
LOST = LinkLost("h", "cut")


def to(script: Script) -> Connections:
    return Connections(lambda _: script.open())


def test_whoever_comes_later_has_the_same_connection_and_it_is_closed_at_the_end() -> None:
    script = Script([])
    with to(script) as ways:
        for _ in range(3):
            with contextlib.closing(ways.open(HOST)) as link:
                link.run(["true"])
        assert (script.opened, script.closed, script.tried) == (1, 0, 3)
    assert script.closed == 1


def test_every_host_has_its_own() -> None:
    script = Script([])
    with to(script) as ways:
        ways.open(HOST)
        ways.open(Address(name="other"))
        assert script.opened == 2
    assert script.closed == 2


@pytest.mark.parametrize("error", [LOST, LinkTimeout("h", "late"), Unreachable("h", "gone")])
def test_one_that_broke_is_closed_when_nobody_uses_it_and_the_next_is_another(error: Any) -> None:
    script = Script([], [error])
    with to(script) as ways:
        first, second = ways.open(HOST), ways.open(HOST)
        with pytest.raises(type(error)):
            first.run(["true"])
        first.close()
        first.close()
        assert script.closed == 0
        third = ways.open(HOST)
        assert script.opened == 2
        second.run(["true"])
        second.close()
        assert script.closed == 1
        third.close()
    assert (script.opened, script.closed) == (2, 2)


def test_a_stream_that_is_lost_breaks_it_too() -> None:
    script = Script([], [None, LOST])
    with to(script) as ways:
        link = ways.open(HOST)
        with pytest.raises(LinkLost), link.stream(["true"]) as running:
            list(running.chunks())
        ways.open(HOST)
        assert script.opened == 2


def test_what_cannot_be_opened_is_said_each_time_and_kept_by_nobody() -> None:
    refused = LoginRefused("h", "no")
    script = Script([refused, refused])
    with to(script) as ways:
        for _ in range(2):
            with pytest.raises(LoginRefused):
                ways.open(HOST)
        ways.open(HOST).run(["true"])
    assert (script.opened, script.closed) == (3, 1)


def test_a_retrying_link_gets_a_new_one_where_it_may() -> None:
    script = Script([], [Unreachable("h", "the connection is gone")])
    with to(script) as ways:
        link = open_retrying(HOST, Backoff(tries=2, sleep=lambda _: None), ways.open)
        link.run(["true"])
        link.close()
    assert (script.opened, script.closed, script.tried) == (2, 2, 2)


def test_many_who_come_at_once_wait_for_one_connection() -> None:
    script = Script([])
    going = threading.Barrier(8)

    def use(ways: Connections) -> None:
        going.wait()
        with contextlib.closing(ways.open(HOST)) as link:
            link.run(["true"])

    with to(script) as ways:
        threads = [threading.Thread(target=use, args=(ways,)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert (script.opened, script.closed, script.tried) == (1, 1, 8)


@pytest.mark.sshd
def test_over_ssh_commands_run_side_by_side_in_one_connection(lab: Any) -> None:
    asked = ["sh", "-c", "echo $SSH_CONNECTION"]
    with Connections(open_link) as ways:
        with contextlib.closing(ways.open(lab.address("h1"))) as one:
            first = one.run(asked).stdout
            with one.stream(["sh", "-c", "echo begun; sleep 60"]) as running:
                next(iter(running.chunks()))
                with contextlib.closing(ways.open(lab.address("h1"))) as two:
                    assert two.run(asked).stdout == first
        with contextlib.closing(ways.open(lab.address("h1"))) as three:
            assert three.run(asked).stdout == first
