"""A pool of values: put and take in no order. Judged exactly, in a time that grows with the number of calls times its logarithm.

Every value is put once and taken once at most. A take that answers nothing says that at some moment of it nothing was there:
wrong where at each moment of it some value was there for sure, put before and not yet about to be taken.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from orchestrator.analysis.histories.calls import Call, Fault, distinct

PUT, TAKE = "put", "take"


def judge(calls: Sequence[Call]) -> Fault | None:
    """put([v…]) · take → [v…], or []: there was nothing. Raises HistoryError where a value is put twice."""
    put = distinct(calls, frozenset({PUT}))
    taken: dict[int, Call] = {}
    for call in calls:
        for value in call.answered if call.op == TAKE else ():
            if value not in put:
                return Fault(f"pool: {value} is taken and was never put", (call,))
            if value in taken:
                return Fault(f"pool: {value} is taken twice", (put[value], taken[value], call))
            if call.res < put[value].inv:
                return Fault(f"pool: {value} is taken before it is put", (call, put[value]))
            taken[value] = call
    return _empty_while_full(calls, put, taken)


def _empty_while_full(calls: Sequence[Call], put: dict[int, Call], taken: dict[int, Call]) -> Fault | None:
    empty = [c for c in calls if c.op == TAKE and not c.answered and c.res < math.inf]
    if not empty or not put:
        return None
    values = list(put)
    begins = np.array([put[v].res for v in values])
    ends = np.array([taken[v].inv if v in taken else math.inf for v in values])
    order = np.argsort(begins, kind="stable")
    begins, ends = begins[order], ends[order]
    sure = begins < ends
    begins, ends, values = begins[sure], ends[sure], [values[i] for i in order[sure]]
    if not values:
        return None
    # how far it is full for sure from each begin on: the furthest end so far, while the next begins before it
    furthest = np.maximum.accumulate(ends)
    gap = np.concatenate(([True], begins[1:] > furthest[:-1]))
    run = np.cumsum(gap) - 1
    starts = begins[gap]
    stops = np.maximum.reduceat(ends, np.flatnonzero(gap))
    for call in empty:
        at = int(np.searchsorted(starts, call.inv, side="right")) - 1
        if at >= 0 and starts[at] < call.inv and call.res < stops[at]:
            chain = _chain(call, np.flatnonzero(run == at), begins, ends)
            few = [put[values[i]] for i in chain] + [taken[values[i]] for i in chain if values[i] in taken]
            few = list(dict.fromkeys(few))
            names = ", ".join(str(values[i]) for i in chain)
            return Fault(f"pool: take answers that there is nothing while there is {names}", (*few, call))
    return None


def _chain(call: Call, among: np.ndarray, begins: np.ndarray, ends: np.ndarray) -> list[int]:
    """Few values of which one is there at each moment of the call."""
    chain: list[int] = []
    upto = call.inv
    while upto <= call.res:
        best = max((i for i in among if begins[i] <= upto), key=lambda i: ends[i])
        chain.append(int(best))
        if ends[best] <= upto:
            break
        upto = ends[best]
    return chain
