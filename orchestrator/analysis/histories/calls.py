"""One recorded call, and a window of them: from quiescence to quiescence, beginning and ending with nothing in the structure."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

#: a number, a truth, a word, several values, or nothing
Value = int | bool | str | tuple[int, ...] | None


class HistoryError(ValueError):
    """What is recorded is no history; ``str`` says what is wrong."""


@dataclass(frozen=True, slots=True)
class Call:
    """``inv`` and ``res`` in ns from the begin of the window; ``res`` is infinite where the call has not returned."""

    thread: int
    op: str
    obj: int
    arg: Value
    ret: Value
    inv: float
    res: float

    @property
    def given(self) -> tuple[int, ...]:
        return as_values(self.arg)

    @property
    def answered(self) -> tuple[int, ...]:
        return as_values(self.ret)


@dataclass(frozen=True, slots=True)
class Fault:
    """Why calls cannot have taken effect one after the other; ``calls``: few that suffice to see it."""

    what: str
    calls: tuple[Call, ...]


class Undecided(Exception):
    """The search gave up; ``str`` says at what."""


def as_values(value: Value) -> tuple[int, ...]:
    """The numbers of a value: none, one or several."""
    if isinstance(value, tuple):
        return value
    return (value,) if isinstance(value, int) and not isinstance(value, bool) else ()


def read_calls(text: str) -> list[Call]:
    """A JSON list of ``{"t","op","obj","arg","ret","inv","res"}`` (docs/reference/harness-protocol.md), in order of `inv`.
    Raises HistoryError."""
    try:
        rows = json.loads(text)
    except ValueError as e:
        raise HistoryError(f"not JSON: {e}") from e
    if not isinstance(rows, list):
        raise HistoryError("not a list of calls")
    calls = sorted((_call(row) for row in rows), key=lambda c: c.inv)
    running: dict[int, float] = {}
    for call in calls:
        if call.inv < running.get(call.thread, -math.inf):
            raise HistoryError(
                f"thread {call.thread} makes a call at {call.inv} before its last one returned"
            )
        running[call.thread] = call.res
    return calls


def _call(row: Any) -> Call:
    if not isinstance(row, Mapping):
        raise HistoryError(f"not a call: {row!r}")
    try:
        inv, res = row["inv"], row["res"]
        made = Call(
            _number(row, "t"),
            str(row["op"]),
            _number(row, "obj"),
            _value(row["arg"]),
            _value(row["ret"]),
            _number(row, "inv"),
            math.inf if res is None else _number(row, "res"),
        )
    except KeyError as e:
        raise HistoryError(f"a call without {e}") from e
    if made.res < inv:
        raise HistoryError(f"{made.op} of thread {made.thread} returns at {res} and is made at {inv}")
    return made


def _number(row: Mapping[str, Any], key: str) -> int:
    value = row[key]
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise HistoryError(f"{key} of a call is {value!r}, not a number")


def _value(value: Any) -> Value:
    if isinstance(value, list):
        if all(type(v) is int for v in value):
            return tuple(value)
        raise HistoryError(f"a list of other things than numbers: {value!r}")
    if value is None or isinstance(value, int | str):
        return value
    raise HistoryError(f"no value of a call: {value!r}")


def distinct(calls: Iterable[Call], ops: frozenset[str]) -> dict[int, Call]:
    """Value → the one call of ``ops`` that was given it. Raises HistoryError where two were."""
    made: dict[int, Call] = {}
    for call in calls:
        if call.op in ops:
            for value in call.given:
                if value in made:
                    raise HistoryError(f"the value {value} is put in twice")
                made[value] = call
    return made
