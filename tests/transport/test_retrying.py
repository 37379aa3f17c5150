"""What is repeated, what never is, and how long is waited."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from scripted import Script

from orchestrator.errors import HostKeyUnknown, LinkError, LinkLost, LinkTimeout, LoginRefused, Unreachable
from orchestrator.transport import Backoff, RetryingLink


def link_to(script: Script, slept: list[float] | None = None, tries: int = 3) -> RetryingLink:
    sleep: Callable[[float], None] = (lambda _: None) if slept is None else slept.append
    return RetryingLink("h", script.open, Backoff(tries=tries, sleep=sleep, random=lambda: 1.0))


LOST, LATE, GONE = LinkLost("h", "cut"), LinkTimeout("h", "late"), Unreachable("h", "gone")

VERBS: dict[str, Callable[[RetryingLink], object]] = {
    "put": lambda link: link.put(Path("a"), "b"),
    "get": lambda link: link.get("a", Path("b")),
    "run": lambda link: link.run(["true"], idempotent=True),
}


@pytest.mark.parametrize("error", [LOST, LATE, GONE])
@pytest.mark.parametrize("verb", VERBS)
def test_what_may_be_repeated_is_repeated_over_a_new_link(verb: str, error: LinkError) -> None:
    script = Script([], [error, error, None])
    VERBS[verb](link_to(script))
    assert (script.opened, script.tried, script.closed) == (3, 3, 2)


@pytest.mark.parametrize("error", [LOST, LATE])
def test_a_command_that_may_have_run_is_never_repeated(error: LinkError) -> None:
    script = Script([], [error])
    with pytest.raises(type(error)):
        link_to(script).run(["rm", "x"])
    assert script.tried == 1


def test_a_command_that_was_not_started_is_tried_again() -> None:
    script = Script([], [GONE, None])
    assert link_to(script).run(["rm", "x"]).exit == 0
    assert script.tried == 2


@pytest.mark.parametrize("error", [LOST, LATE, GONE])
def test_opening_is_tried_again_for_any_verb(error: LinkError) -> None:
    script = Script([error, error, None])
    link_to(script).run(["rm", "x"])
    assert (script.opened, script.tried) == (3, 1)


@pytest.mark.parametrize("error", [LoginRefused("h", "no"), HostKeyUnknown("h", "who")])
def test_what_another_try_cannot_change_is_not_tried_again(error: LinkError) -> None:
    script = Script([error, None])
    with pytest.raises(type(error)):
        link_to(script).open()
    assert script.opened == 1


def test_the_last_error_is_raised_after_the_last_try() -> None:
    slept: list[float] = []
    script = Script([GONE, GONE, LATE, None])
    with pytest.raises(LinkTimeout):
        link_to(script, slept).open()
    assert script.opened == 3
    assert len(slept) == 2


def test_waits_double_up_to_the_most_and_are_spread_by_half() -> None:
    slept: list[float] = []
    backoff = Backoff(first_s=1.0, most_s=3.0, sleep=slept.append, random=lambda: 1.0)
    for failed in (1, 2, 3, 4):
        backoff.wait(failed)
    Backoff(first_s=1.0, sleep=slept.append, random=lambda: 0.0).wait(1)
    assert slept == [1.0, 2.0, 3.0, 3.0, 0.5]


def test_a_stream_that_is_lost_is_the_callers_to_resume_and_the_next_verb_opens_anew() -> None:
    script = Script([], [None, LOST])
    link = link_to(script)
    with pytest.raises(LinkLost), link.stream(["follow"]) as running:
        list(running.chunks())
    assert (script.opened, script.closed) == (1, 1)
    link.run(["true"])
    assert script.opened == 2


def test_one_link_serves_many_verbs() -> None:
    script = Script([])
    link = link_to(script)
    link.run(["true"])
    link.put(Path("a"), "b")
    link.close()
    link.close()
    assert (script.opened, script.closed) == (1, 1)
