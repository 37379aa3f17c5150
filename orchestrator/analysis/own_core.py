"""Which launches of one thread had their core to themselves?

A core runs two threads, and a virtual CPU is one of them. Where the other is busy, whatever counts instructions takes up to twice as long,
and whatever waits takes the same: two arms of one launch keep their ratio only where both count, or both wait. So the two states
are two machines, and a median over both is the figure of neither. The benches of arms measure which one it was: additions that need
not wait for each other (`cal_adds_ns`) take a fourth of those that do (`cal_add_ns`) on a core of one's own, and up to a half beside a
busy sibling.
"""

from __future__ import annotations

import pandas as pd

from orchestrator.analysis.bootstrap import MIN_LAUNCHES

WAITING, MANY = "cal_add_ns", "cal_adds_ns"
#: the most that an addition among many may take, of one that waits
OWN = 0.3


def comparable(rows: pd.DataFrame) -> pd.DataFrame:
    """Of the rows of `samples`, those of launches that can stand beside each other: in each step of one thread the launches with a core
    of their own, where there are `MIN_LAUNCHES` of them; else, and with several threads, all."""
    own = alone(rows)
    enough = own.groupby(level="step").transform("sum") >= MIN_LAUNCHES
    dropped = own.index[enough & ~own]
    keys = pd.MultiIndex.from_frame(rows[["step", "launch"]])
    return rows[~keys.isin(dropped)]


def alone(rows: pd.DataFrame) -> pd.Series[bool]:
    """(step, launch) → whether its core was its own; without the launches of several threads, and those that did not measure it."""
    wanted = rows[(rows["threads"] == 1) & rows["metric"].isin([WAITING, MANY])]
    wide = wanted.pivot_table(index=["step", "launch"], columns="metric", values="value", aggfunc="last")
    wide = wide.reindex(columns=[WAITING, MANY]).dropna()
    found: pd.Series[bool] = (wide[MANY] <= OWN * wide[WAITING]).astype(bool)
    return found
