"""Windows → what is wrong with them. Pure and picklable: windows can be spread over processes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from orchestrator.analysis.histories import capability, pool, search
from orchestrator.analysis.histories.calls import Call, Fault, HistoryError, Undecided, read_calls
from orchestrator.analysis.histories.sequential import SEQUENTIAL

#: Calls of which each is judged with all others, of one object or of all.
Judge = Callable[[Sequence[Call]], Fault | None]

#: By what name a history says what it is of.
JUDGES: dict[str, Judge] = {
    "pool": pool.judge,
    "capability": capability.judge,
    **{name: partial(search.judge, model=model) for name, model in SEQUENTIAL.items()},
}

#: Each obj is a structure of its own; a window is right where each of them is.
_BY_OBJECT = frozenset({"pool", *SEQUENTIAL})


@dataclass(frozen=True, slots=True)
class Window:
    """``data``: its calls as recorded, a JSON list."""

    spec: str
    data: str


@dataclass(frozen=True, slots=True)
class Answer:
    """``fault``: why it is wrong; ``undecided``: why nothing can be said; neither: it is linearizable."""

    calls: int
    fault: Fault | None = None
    undecided: str = ""


def check_windows(windows: Sequence[Window]) -> list[Answer]:
    """One answer per window, in their order."""
    return [check_window(w) for w in windows]


def check_window(window: Window) -> Answer:
    judge = JUDGES.get(window.spec)
    if judge is None:
        known = ", ".join(sorted(JUDGES))
        return Answer(0, undecided=f"unknown kind of history {window.spec!r}; there are {known}")
    count = 0
    try:
        calls = read_calls(window.data)
        count = len(calls)
        for part in _parts(window.spec, calls):
            fault = judge(part)
            if fault is not None:
                return Answer(count, fault)
    except (HistoryError, Undecided) as e:
        return Answer(count, undecided=str(e))
    return Answer(count)


def _parts(spec: str, calls: Sequence[Call]) -> list[list[Call]]:
    if spec not in _BY_OBJECT:
        return [list(calls)]
    parts: dict[int, list[Call]] = defaultdict(list)
    for call in calls:
        parts[call.obj].append(call)
    return list(parts.values())
