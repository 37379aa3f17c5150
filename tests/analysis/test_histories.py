"""Histories that can have happened are let pass, and those that cannot are not, and are shown in a few calls."""

from __future__ import annotations

import itertools
import json
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from orchestrator.analysis.histories import pool, search
from orchestrator.analysis.histories.calls import Call, Undecided
from orchestrator.analysis.histories.check import JUDGES, Window, check_window, check_windows
from orchestrator.analysis.histories.sequential import SEQUENTIAL, State
from orchestrator.analysis.histories.shown import columns

Row = tuple[int, str, int, Any, Any, float, float | None]


def window(spec: str, *rows: Row) -> Window:
    """Rows of (thread, op, obj, arg, ret, inv, res)."""
    keys = ("t", "op", "obj", "arg", "ret", "inv", "res")
    return Window(spec, json.dumps([dict(zip(keys, row, strict=True)) for row in rows]))


RIGHT = {
    "a pop beside a push takes its value": window(
        "stack", (0, "push", 0, 1, None, 0, 10), (1, "pop", 0, None, 1, 2, 5)
    ),
    "two puts at the same time come in either order": window(
        "queue",
        (0, "put", 0, 1, None, 0, 10),
        (1, "put", 0, 2, None, 0, 10),
        (0, "take", 0, None, 2, 20, 30),
        (0, "take", 0, None, 1, 40, 50),
    ),
    "what has not returned may have happened": window(
        "queue", (0, "put", 0, 1, None, 0, None), (1, "take", 0, None, 1, 5, 6)
    ),
    "a thief takes the oldest while the owner pops the newest": window(
        "deque",
        (0, "push", 0, [1, 2, 3], None, 0, 10),
        (1, "steal", 0, None, [1], 12, 20),
        (0, "pop", 0, None, 3, 12, 20),
        (0, "pop", 0, None, 2, 30, 40),
        (0, "pop", 0, None, None, 50, 60),
    ),
    "an owner without anything private takes back half, and has the oldest": window(
        "deque",
        (0, "push", 0, [1, 2, 3, 4], None, 0, 10),
        (0, "pop", 0, None, 1, 20, 30),
        (0, "pop", 0, None, 2, 40, 50),
        (1, "steal", 0, None, [3, 4], 60, 70),
    ),
    "nothing was there between two values": window(
        "pool",
        (0, "put", 0, [1], None, 0, 10),
        (1, "take", 0, None, [], 5, 40),
        (2, "take", 0, None, [1], 20, 30),
        (0, "put", 0, [2], None, 25, 35),
    ),
    "a child outlives nobody": window(
        "capability",
        (0, "create", 0, 256 + 3, 7, 0, 10),
        (1, "delegate", 7, 1, 8, 11, 20),
        (0, "revoke", 7, None, "ok", 21, 40),
        (1, "check", 7, 0, False, 22, 25),
        (1, "check", 8, 1, True, 26, 30),
        (1, "check", 8, 1, False, 41, 45),
    ),
    "who was delegated while its parent lost a right may keep it": window(
        "capability",
        (0, "create", 0, 256 + 3, 7, 0, 10),
        (1, "delegate", 7, 1, 8, 15, 25),
        (0, "attenuate", 7, 1, "ok", 20, 30),
        (1, "check", 8, 1, True, 41, 45),
    ),
    "of a child nothing is known but that its parent lost a right": window(
        "capability",
        (0, "create", 0, 256 + 3, 7, 0, 10),
        (1, "delegate", 7, 1, 8, 11, 14),
        (0, "attenuate", 7, 1, "ok", 20, 30),
    ),
    "each object is a structure of its own": window(
        "stack",
        (0, "push", 1, 5, None, 0, 10),
        (0, "push", 2, 6, None, 20, 30),
        (0, "pop", 1, None, 5, 40, 50),
        (0, "pop", 1, None, None, 60, 70),
    ),
    "a register is read while it is written": window(
        "register",
        (0, "write", 0, 4, None, 0, 10),
        (1, "read", 0, None, 0, 5, 6),
        (1, "read", 0, None, 4, 7, 8),
        (1, "cas", 0, [4, 9], True, 20, 30),
    ),
}

#: name → window, what is said of it, how many calls are shown
WRONG = {
    "a value is popped twice": (
        window(
            "stack",
            (0, "push", 0, 3, None, 0, 1),
            (0, "push", 0, 1, None, 2, 10),
            (0, "pop", 0, None, 1, 20, 30),
            (1, "pop", 0, None, 1, 25, 35),
        ),
        "answer 1",
        3,
    ),
    "a stack gives the older one first": (
        window(
            "stack",
            (0, "push", 0, 9, None, 0, 1),
            (0, "push", 0, 1, None, 2, 10),
            (0, "push", 0, 2, None, 11, 20),
            (1, "pop", 0, None, 1, 30, 40),
            (1, "pop", 0, None, 2, 50, 60),
        ),
        "stack: no order",
        3,
    ),
    "a queue overtakes": (
        window(
            "queue",
            (0, "put", 0, 1, None, 0, 10),
            (0, "put", 0, 2, None, 11, 20),
            (1, "take", 0, None, 2, 30, 40),
            (1, "take", 0, None, 1, 50, 60),
        ),
        "queue: no order",
        3,
    ),
    "a steal takes what a pop has taken": (
        window(
            "deque",
            (0, "push", 0, [1, 2], None, 0, 10),
            (0, "pop", 0, None, 2, 20, 30),
            (1, "steal", 0, None, [1, 2], 40, 50),
        ),
        "answer [2]",
        3,
    ),
    "a pop finds nothing while there is something": (
        window("deque", (0, "push", 0, [1], None, 0, 10), (0, "pop", 0, None, None, 20, 30)),
        "answer nothing",
        2,
    ),
    "a thief takes from the wrong end": (
        window("deque", (0, "push", 0, [1, 2, 3], None, 0, 10), (1, "steal", 0, None, [3], 20, 30)),
        "steal of thread 1",
        2,
    ),
    "a task is handed out twice": (
        window(
            "pool",
            (0, "put", 0, [1, 2], None, 0, 10),
            (1, "take", 0, None, [1], 20, 30),
            (2, "take", 0, None, [2, 1], 20, 30),
        ),
        "1 is taken twice",
        3,
    ),
    "a task comes out of nowhere": (
        window("pool", (0, "put", 0, [1], None, 0, 10), (1, "take", 0, None, [2], 20, 30)),
        "2 is taken and was never put",
        1,
    ),
    "a task is taken before it is there": (
        window("pool", (1, "take", 0, None, [1], 0, 5), (0, "put", 0, [1], None, 10, 20)),
        "before it is put",
        2,
    ),
    "two values cover a take that finds nothing": (
        window(
            "pool",
            (0, "put", 0, [1], None, 0, 10),
            (0, "put", 0, [2], None, 11, 15),
            (1, "take", 0, None, [], 12, 40),
            (2, "take", 0, None, [1], 20, 30),
            (2, "take", 0, None, [2], 50, 60),
        ),
        "while there is 1, 2",
        5,
    ),
    "a check succeeds after the revoke returned": (
        window(
            "capability",
            (0, "create", 0, 256 + 3, 7, 0, 10),
            (1, "delegate", 7, 1, 8, 11, 20),
            (0, "revoke", 7, None, "ok", 21, 40),
            (1, "check", 8, 0, True, 41, 45),
        ),
        "the life of 8 is found after it was gone",
        3,
    ),
    "a right comes back": (
        window(
            "capability",
            (0, "create", 0, 3, 7, 0, 10),
            (0, "attenuate", 7, 1, "ok", 20, 60),
            (1, "check", 7, 1, False, 21, 25),
            (1, "check", 7, 1, True, 26, 30),
        ),
        "the right 1 of 7 is found after it was gone",
        4,
    ),
    "a child has more than its parent": (
        window(
            "capability",
            (0, "create", 0, 256 + 1, 7, 0, 10),
            (0, "delegate", 7, 2, 8, 11, 20),
        ),
        "7 never had the right 2 that delegate found",
        2,
    ),
    "a capability is missed though nobody has ended it": (
        window(
            "capability",
            (0, "create", 0, 1, 7, 0, 10),
            (1, "check", 7, 0, False, 20, 30),
            (0, "revoke", 7, None, "ok", 40, 50),
        ),
        "missed before anybody began to end it",
        3,
    ),
    "a delegate succeeds below what has ended": (
        window(
            "capability",
            (0, "create", 0, 256 + 1, 7, 0, 10),
            (0, "delete", 7, None, "ok", 20, 30),
            (1, "delegate", 7, 1, 9, 40, 50),
        ),
        "of 7 is found after it was gone",
        3,
    ),
    "a cas succeeds from another value": (
        window("register", (0, "write", 0, 4, None, 0, 10), (1, "cas", 0, [5, 6], True, 20, 30)),
        "register: no order",
        2,
    ),
}


@pytest.mark.parametrize("name", RIGHT)
def test_what_can_have_happened_is_right(name: str) -> None:
    answer = check_window(RIGHT[name])
    assert (answer.fault, answer.undecided) == (None, "")


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_have_happened_is_wrong_and_shown_in_few_calls(name: str) -> None:
    asked, says, shown = WRONG[name]
    answer = check_window(asked)
    assert answer.fault is not None
    assert says in answer.fault.what
    assert len(answer.fault.calls) == shown
    again = [(c.thread, c.op, c.obj, _json(c.arg), _json(c.ret), c.inv, _end(c)) for c in answer.fault.calls]
    if "is taken and was never put" not in says:
        assert check_window(window(asked.spec, *again)).fault is not None


def _json(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _end(call: Call) -> float | None:
    return None if call.res == math.inf else call.res


def test_every_kind_of_history_has_cases_of_both() -> None:
    assert {w.spec for w in RIGHT.values()} == set(JUDGES)
    assert {w.spec for w, _, _ in WRONG.values()} == set(JUDGES)


# -- made at random ----------------------------------------------------------------------------------


def made_up(spec: str, rng: random.Random, length: int, threads: int) -> list[Call]:
    """One after the other at moments 100, 200, …, each call around its moment as far as its thread lets it."""
    state: State = SEQUENTIAL[spec].begin
    free = [0.0] * threads
    calls: list[Call] = []
    for number in range(1, length + 1):
        op, arg, ret, state = _answered(spec, state, number, rng)
        thread = 0 if spec == "deque" and op != "steal" else rng.randrange(threads)
        at = number * 100.0
        inv = max(free[thread] + 1, at - rng.choice((10, 150, 450)))
        res = at + rng.choice((10, 150, 450))
        if inv > at:
            inv = at
        if free[thread] >= at:  # its last call is cut short, behind its own moment
            last = max(i for i, c in enumerate(calls) if c.thread == thread)
            calls[last] = replace(calls[last], res=at - 50)
            inv = at - 40
        free[thread] = res
        calls.append(Call(thread, op, 0, arg, ret, inv, res))
    return sorted(calls, key=lambda c: c.inv)


def _answered(spec: str, state: Any, number: int, rng: random.Random) -> tuple[str, Any, Any, Any]:
    """A call that a structure in this state could answer so, and the state that follows."""
    put = {"stack": "push", "queue": "put", "deque": "push"}[spec]
    if rng.random() < 0.5:
        value = (number,) if spec == "deque" else number
        return put, value, None, (*state, number)
    if spec == "queue":
        return "take", None, state[0] if state else None, state[1:]
    if spec == "deque" and state and rng.random() < 0.5:
        count = rng.randint(1, min(3, len(state)))
        return "steal", None, state[:count], state[count:]
    return "pop", None, state[-1] if state else None, state[:-1]


def by_trying(calls: Sequence[Call], step: Callable[[State, Call], list[State]], begin: State) -> bool:
    """Whether some order of all calls is possible: every permutation that keeps what came before."""
    for order in itertools.permutations(calls):
        if any(b.res < a.inv for a, b in itertools.combinations(order, 2)):
            continue
        states = {begin}
        for call in order:
            states = {follows for state in states for follows in step(state, call)}
        if states:
            return True
    return False


@pytest.mark.parametrize("spec", ["stack", "queue", "deque"])
def test_what_was_made_one_after_the_other_is_right(spec: str) -> None:
    rng = random.Random(spec)
    for _ in range(40):
        assert search.judge(made_up(spec, rng, 40, 4), SEQUENTIAL[spec]) is None


@pytest.mark.parametrize("spec", ["stack", "queue", "deque"])
def test_the_search_says_what_trying_every_order_says(spec: str) -> None:
    rng = random.Random(spec)
    model, seen = SEQUENTIAL[spec], set()
    for _ in range(100):
        calls = made_up(spec, rng, 5, 3)
        spoilt = rng.randrange(len(calls))
        values = [c.ret for c in calls]
        rng.shuffle(values)
        if calls[spoilt].op not in model.puts:
            other = next((v for v in values if type(v) is type(calls[spoilt].ret)), calls[spoilt].ret)
            calls[spoilt] = replace(calls[spoilt], ret=other)
        right = by_trying(calls, model.step, model.begin)
        assert (search.judge(calls, model) is None) == right
        seen.add(right)
    assert seen == {True, False}


def _pool_step(state: State, call: Call) -> list[State]:
    assert isinstance(state, frozenset)
    if call.op == pool.PUT:
        return [state | set(call.given)]
    if not call.answered:
        return [state] if not state else []
    return [state - set(call.answered)] if state >= set(call.answered) else []


def test_the_pool_says_what_trying_every_order_says() -> None:
    rng = random.Random(4)
    seen = set()
    for _ in range(120):
        calls = []
        for thread in range(3):
            at = 0.0
            for number in range(2):
                inv = at + rng.randint(1, 40)
                at = inv + rng.randint(1, 60)
                put = rng.random() < 0.5
                value = (thread * 2 + number,) if put else rng.choice(((), (rng.randrange(6),)))
                calls.append(
                    Call(
                        thread,
                        "put" if put else "take",
                        0,
                        value if put else None,
                        None if put else value,
                        inv,
                        at,
                    )
                )
        calls.sort(key=lambda c: c.inv)
        right = by_trying(calls, _pool_step, frozenset())
        assert (pool.judge(calls) is None) == right
        seen.add(right)
    assert seen == {True, False}


# -- what is no history, and what is too much -----------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ("{", "not JSON"),
        ("{}", "not a list"),
        ("[1]", "not a call"),
        ('[{"t":0,"op":"pop","obj":0,"arg":null,"inv":0,"res":1}]', "without 'ret'"),
        ('[{"t":0,"op":"pop","obj":0,"arg":null,"ret":1.5,"inv":0,"res":1}]', "no value of a call"),
        (
            '[{"t":0,"op":"pop","obj":0,"arg":null,"ret":null,"inv":5,"res":1}]',
            "returns at 1 and is made at 5",
        ),
    ],
)
def test_what_is_no_history_is_undecided_and_said(data: str, says: str) -> None:
    answer = check_window(Window("stack", data))
    assert answer.fault is None
    assert says in answer.undecided


def test_calls_of_one_thread_do_not_overlap() -> None:
    twice = window("stack", (0, "push", 0, 1, None, 0, 10), (0, "push", 0, 2, None, 5, 20))
    assert "before its last one returned" in check_window(twice).undecided


def test_a_value_that_is_put_twice_is_no_history_of_a_pool() -> None:
    assert "put in twice" in check_window(window("pool", (0, "put", 0, [1, 1], None, 0, 1))).undecided


def test_an_unknown_kind_is_said_with_those_that_there_are() -> None:
    assert "there are capability, deque" in check_windows([Window("set", "[]")])[0].undecided


def test_a_search_that_grows_beyond_its_bound_is_undecided() -> None:
    model = SEQUENTIAL["queue"]
    puts = [Call(t, "put", 0, t, None, 0, 100) for t in range(8)]
    with pytest.raises(Undecided, match="8 calls at the same time"):
        search.first_wrong(puts, model.begin, model.step, most=1000)


def test_calls_are_drawn_in_a_column_per_thread() -> None:
    lines = columns([Call(0, "push", 0, (1, 2), None, 0, 30), Call(2, "pop", 0, None, None, 10, 20)])
    assert [line.split() for line in lines] == [
        ["ns", "thread", "0", "thread", "2"],
        ["0", "┌", "push([1", "2])", "·"],
        ["10", "│", "┌", "pop()"],
        ["20", "│", "└", "–"],
        ["30", "└", "–", "·"],
    ]
