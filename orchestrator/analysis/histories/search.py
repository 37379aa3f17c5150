"""Wing and Gong's search in Lowe's order: a call takes effect no earlier than some call that returns needs it.

Along the events of a window, in time, a set of configurations is kept: a state, and which of the running calls have taken
effect in it. At a return, each configuration in which the call has not taken effect goes on with every order of running
calls that ends with it. Where none is left, the window is wrong, and has been since that return. Equal configurations are
one, so that the work grows with what runs at the same time and not with the length of the window.
"""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.analysis.histories.calls import Call, Fault, Undecided
from orchestrator.analysis.histories.sequential import Sequential, State, Step

#: Configurations at one moment; a window that needs more is undecided.
MOST = 50_000

#: A state, and the threads whose running call has taken effect in it.
_Configuration = tuple[State, frozenset[int]]


def first_wrong(calls: Sequence[Call], begin: State, step: Step, most: int = MOST) -> int | None:
    """Index of the call at whose return nothing is possible any more; None: the window is linearizable. Raises Undecided."""
    events = [(c.inv, 0, i) for i, c in enumerate(calls)]
    events += [(c.res, 1, i) for i, c in enumerate(calls) if c.res != float("inf")]
    events.sort()
    running: dict[int, Call] = {}
    configurations: set[_Configuration] = {(begin, frozenset())}
    for _, returns, index in events:
        call = calls[index]
        if not returns:
            running[call.thread] = call
            continue
        configurations = _after(configurations, running, call, step, most)
        if not configurations:
            return index
        del running[call.thread]
    return None


def _after(
    configurations: set[_Configuration], running: dict[int, Call], call: Call, step: Step, most: int
) -> set[_Configuration]:
    """Those in which ``call`` has taken effect, with it no longer named."""
    mine = call.thread
    found: set[_Configuration] = set()
    seen: set[_Configuration] = set()
    open_ = list(configurations)
    while open_:
        state, done = open_.pop()
        if mine in done:
            found.add((state, done - {mine}))
            continue
        for thread, other in running.items():
            if thread in done:
                continue
            for follows in step(state, other):
                if thread == mine:
                    found.add((follows, done))
                    continue
                reached = (follows, done | {thread})
                if reached not in seen:
                    seen.add(reached)
                    open_.append(reached)
        if len(seen) + len(found) > most:
            raise Undecided(f"more than {most} orders of {len(running)} calls at the same time are possible")
    return found


def judge(calls: Sequence[Call], model: Sequential) -> Fault | None:
    """None: the window is linearizable. Raises Undecided."""
    wrong = first_wrong(calls, model.begin, model.step)
    if wrong is None:
        return None
    end = calls[wrong].res
    cut = [c for c in calls if c.inv <= end]
    shown = _fewer(cut, model)
    at = first_wrong(shown, model.begin, model.step)
    last = calls[wrong] if at is None else shown[at]
    what = (
        f"{model.name}: no order of these calls lets {last.op} of thread {last.thread} answer {_told(last)}"
    )
    return Fault(what, tuple(shown))


def _told(call: Call) -> str:
    return "nothing" if call.ret is None else str(list(call.ret) if isinstance(call.ret, tuple) else call.ret)


def _fewer(calls: list[Call], model: Sequential) -> list[Call]:
    """Wrong still, and no value can be left out. All of them where ``loose`` finds nothing wrong: then values count."""
    if not _wrong(calls, model):
        return calls
    values = sorted({v for c in calls if c.op in model.puts for v in c.given})
    size = max(1, len(values) // 2)
    while values:
        for at in range(0, len(values), size):
            fewer = _without(calls, frozenset(values[at : at + size]))
            if fewer != calls and _wrong(fewer, model):
                calls = fewer
        left = {v for c in calls if c.op in model.puts for v in c.given}
        values = [v for v in values if v in left]
        if size == 1:
            break
        size = max(1, size // 2)
    nothing = [c for c in calls if c.ret is None and c.op not in model.puts] if model.puts else []
    for call in nothing:
        fewer = [c for c in calls if c is not call]
        if _wrong(fewer, model):
            calls = fewer
    return calls


def _wrong(calls: Sequence[Call], model: Sequential) -> bool:
    try:
        return first_wrong(calls, model.begin, model.loose) is not None
    except Undecided:
        return False


def _without(calls: Sequence[Call], values: frozenset[int]) -> list[Call]:
    """The calls without these values; a call that had nothing else is left out."""
    kept = []
    for call in calls:
        arg, ret = _rest(call.arg, values), _rest(call.ret, values)
        if (arg, ret) == (call.arg, call.ret):
            kept.append(call)
        elif any(v is not None and v != () for v in (arg, ret)):
            kept.append(Call(call.thread, call.op, call.obj, arg, ret, call.inv, call.res))
    return kept


def _rest(value: object, values: frozenset[int]) -> tuple[int, ...] | int | bool | str | None:
    if isinstance(value, tuple):
        return tuple(v for v in value if v not in values)
    if isinstance(value, int) and not isinstance(value, bool):
        return None if value in values else value
    assert value is None or isinstance(value, str | bool)
    return value
