"""A capability table, judged exactly by what it promises (native/include/capability.h, C1 and C2): each right of each capability goes once.

A right is there for a check while the capability lives and has it. It goes by an attenuate of the capability or of one above, by a revoke of it
or of one above, or by a delete of it, at one moment of that call; for every capability the moment is another, for a subtree is not
ended at once. So each pair of capability and right is an object of its own: there must be a moment within one of the calls that may have
ended it, after every call that still found it began, and before every call that missed it, or had to end it, returned.

    create(rights) → id · delegate of obj (rights) → id · attenuate of obj (rights) → "ok"
    check of obj (right, or 0: that it lives) → true, false · revoke of obj, delete of obj → "ok"
    any → "stale": obj is gone; delete → "busy": it lives; "denied" and others say nothing

An id is born in the window. Bit 8 of rights is the one to delegate.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from orchestrator.analysis.histories.calls import Call, Fault

DELEGATE = 1 << 8
#: stands for the life of a capability among its rights
LIFE = 0


@dataclass
class _Right:
    """One right of one capability: who may end it (and must, by its return), who found it, who missed it."""

    may: list[Call] = field(default_factory=list)
    must: list[Call] = field(default_factory=list)
    found: list[Call] = field(default_factory=list)
    missed: list[Call] = field(default_factory=list)


class _Table:
    def __init__(self, calls: Sequence[Call]) -> None:
        self.born = {c.ret: c for c in calls if c.op in ("create", "delegate") and type(c.ret) is int}
        self.below: dict[int, list[int]] = defaultdict(list)
        self.rights: dict[tuple[int, int], _Right] = defaultdict(_Right)
        for id_, call in self.born.items():
            if call.op == "delegate":
                self.below[call.obj].append(id_)

    def subtree(self, id_: int) -> Iterator[int]:
        yield id_
        for child in self.below.get(id_, ()):
            yield from self.subtree(child)

    def ends(self, call: Call, right: int) -> None:
        """Of the whole subtree; who was delegated while the call ran need not lose a mere right."""
        for id_ in self.subtree(call.obj):
            at = self.rights[id_, right]
            at.may.append(call)
            if right == LIFE or id_ == call.obj or (self.born[id_].res <= call.inv):
                at.must.append(call)

    def found(self, call: Call, right: int) -> None:
        self.rights[call.obj, right].found.append(call)
        if right != LIFE:
            self.rights[call.obj, LIFE].found.append(call)

    def missed(self, call: Call) -> None:
        self.rights[call.obj, LIFE].missed.append(call)


def judge(calls: Sequence[Call]) -> Fault | None:
    table = _Table(calls)
    for call in calls:
        if call.op == "create":
            continue
        if call.obj not in table.born:
            return Fault(f"capability: {call.op} of {call.obj}, which nobody has made", (call,))
        fault = _read(table, call)
        if fault is not None:
            return fault
    for (id_, right), of_right in table.rights.items():
        # of whom nothing else is known than that a right was taken away or missed: no entry for its life
        life = table.rights.get((id_, LIFE), _Right())
        fault = _judge_right(table.born[id_], right, of_right, life)
        if fault is not None:
            return fault
    return None


def _read(table: _Table, call: Call) -> Fault | None:
    """Takes down what a call says."""
    born = table.born[call.obj]
    if call.ret == "stale":
        table.missed(call)
        return None
    if call.op in ("check", "delegate"):
        return _read_use(table, call, born)
    if call.ret == "busy":
        table.found(call, LIFE)
    elif call.ret == "ok":
        if call.op == "attenuate":
            table.found(call, LIFE)
            for right in _bits(call.given[0]):
                table.ends(call, right)
        elif call.op == "delete":
            at = table.rights[call.obj, LIFE]
            at.may.append(call)
            at.must.append(call)
        else:
            table.ends(call, LIFE)
    return None


def _read_use(table: _Table, call: Call, born: Call) -> Fault | None:
    asked = list(_bits(call.given[0]))
    if call.op == "delegate":
        if type(call.ret) is not int:
            return None
        asked.append(DELEGATE)
    elif call.ret is False:
        if len(asked) > 1:
            return None  # one of them is missing: no telling which
        right = asked[0] if asked else LIFE
        if not right or born.given[0] & right:
            table.rights[call.obj, right].missed.append(call)
        return None
    for right in asked or [LIFE]:
        if right and not born.given[0] & right:
            return Fault(
                f"capability: {call.obj} never had the right {right} that {call.op} found", (born, call)
            )
        table.found(call, right)
    return None


def _bits(mask: int) -> Iterator[int]:
    while mask:
        yield mask & -mask
        mask &= mask - 1


def _judge_right(born: Call, right: int, of_right: _Right, life: _Right) -> Fault | None:
    """Life is a part of each right: who ends it ends them, who misses it misses them, who finds a right finds it."""
    both = [of_right, life] if right != LIFE else [of_right]
    may = [c for r in both for c in r.may]
    ends = [c for r in both for c in (*r.must, *r.missed) if c.res < math.inf]
    last_found = max((c for c in of_right.found), key=lambda c: c.inv, default=None)
    earliest = -math.inf if last_found is None else last_found.inv
    first_end = min(ends, key=lambda c: c.res, default=None)
    if first_end is None:
        return None
    latest = first_end.res
    if any(max(c.inv, earliest) <= min(c.res, latest) for c in may):
        return None
    what = f"the right {right} of {born.ret}" if right else f"the life of {born.ret}"
    few = [born, *([last_found] if last_found else []), first_end]
    if not any(c.inv <= latest for c in may):
        return Fault(
            f"capability: {what} is missed before anybody began to end it", tuple(dict.fromkeys((*few, *may)))
        )
    return Fault(f"capability: {what} is found after it was gone", tuple(dict.fromkeys((*may[:2], *few))))
