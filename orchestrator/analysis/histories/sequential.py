"""What a structure may answer when calls come one after the other: state and call → the states that may follow.

A state is immutable. A call that answered what the structure cannot answer there has no state that follows.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass

from orchestrator.analysis.histories.calls import Call, Value

#: the most that the owner of a deque takes back at once (native/include/deque.h)
TAKE_BACK = 64

State = Hashable
Items = tuple[int, ...]
Step = Callable[[State, Call], list[State]]


@dataclass(frozen=True)
class Sequential:
    """``puts``: ops whose `arg` puts values in, each value once. Without a value, and all that was said of it, a right history
    is still right by ``loose``: so a wrong one is shown with few values."""

    name: str
    begin: State
    step: Step
    loose: Step
    puts: frozenset[str]


def _items(state: State) -> Items:
    assert isinstance(state, tuple)
    return state


def stack(state: State, call: Call) -> list[State]:
    """push(v) · pop → v, or null: there was nothing."""
    items = _items(state)
    if call.op == "push":
        return [items + call.given]
    return _taken(items, call.ret, -1)


def queue(state: State, call: Call) -> list[State]:
    """put(v) · take → v, or null: there was nothing."""
    items = _items(state)
    if call.op == "put":
        return [items + call.given]
    return _taken(items, call.ret, 0)


def _taken(items: Items, ret: Value, at: int) -> list[State]:
    if ret is None:
        return [()] if not items else []
    if not items or items[at] != ret:
        return []
    return [items[1:] if at == 0 else items[:-1]]


def register(state: State, call: Call) -> list[State]:
    """write(v) · read → v · cas([old, new]) → whether."""
    if call.op == "write":
        return [call.arg]
    if call.op == "read":
        return [state] if call.ret == state else []
    old, new = call.given
    if call.ret is True:
        return [new] if state == old else []
    return [state] if state != old else []


def _deque(state: State, call: Call, *, loose: bool) -> list[State]:
    """push([v…]) · pop → the newest, or, where all is exposed, the oldest, and up to half of the rest goes to the other end ·
    pop → null: there was nothing · pop_oldest → the oldest · steal → the oldest ones."""
    items = _items(state)
    if call.op == "push":
        return [items + call.given]
    if call.op in ("steal", "pop_oldest"):
        count = len(call.answered)
        return [items[count:]] if items[:count] == call.answered else []
    if call.ret is None:
        return [()] if not items else []
    follows: list[State] = []
    if items and items[-1] == call.ret:
        follows.append(items[:-1])
    if items and items[0] == call.ret:
        most = min(TAKE_BACK, (len(items) - 1) // 2 + 1)
        counts = range(1, len(items) + 1) if loose else (most,)
        follows += [items[count:] + items[count - 1 : 0 : -1] for count in counts]
    return list(dict.fromkeys(follows))


def deque(state: State, call: Call) -> list[State]:
    return _deque(state, call, loose=False)


def loose_deque(state: State, call: Call) -> list[State]:
    """Any number of the rest may go to the other end: half of what is left is another number without some of them."""
    return _deque(state, call, loose=True)


SEQUENTIAL: dict[str, Sequential] = {
    "stack": Sequential("stack", (), stack, stack, frozenset({"push"})),
    "queue": Sequential("queue", (), queue, queue, frozenset({"put"})),
    "deque": Sequential("deque", (), deque, loose_deque, frozenset({"push"})),
    "register": Sequential("register", 0, register, register, frozenset()),
}
