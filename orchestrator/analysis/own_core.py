"""Which launches of one thread had their core to themselves?

A core runs two threads, and a virtual CPU is one of them. Where the other is busy, whatever counts instructions takes up to twice as long,
and whatever waits takes the same: two arms of one launch keep their ratio only where both count, or both wait. So the two states
are two machines, and a median over both is the figure of neither. The benches of arms measure which one it was: additions that need
not wait for each other (`cal_adds_ns`) take a fourth of those that do (`cal_add_ns`) on a core of one's own, and a third to a half beside
a busy sibling.
"""

from __future__ import annotations

import pandas as pd

from orchestrator.analysis.bootstrap import MIN_LAUNCHES

WAITING, MANY = "cal_add_ns", "cal_adds_ns"
#: the most that an addition among many may take, of one that waits
OWN = 0.28


def comparable(rows: pd.DataFrame) -> pd.DataFrame:
    """Of the rows of `samples`, those of launches that can stand beside each other: in each step of one thread the launches with a core
    of their own, where there are `MIN_LAUNCHES` of them; else the others, where there are as many. With several threads all."""
    own = alone(rows)
    groups = own.groupby(level="step")
    enough_own = groups.transform("sum") >= MIN_LAUNCHES
    enough_others = groups.transform("count") - groups.transform("sum") >= MIN_LAUNCHES
    dropped = own.index[(enough_own & ~own) | (~enough_own & enough_others & own)]
    keys = pd.MultiIndex.from_frame(rows[["step", "launch"]])
    return rows[~keys.isin(dropped)]


def told(rows: pd.DataFrame) -> dict[str, str]:
    """Step → what is to be said of its launches, of which `comparable` keeps some; nothing where all had a core of their own."""
    kept = {str(step): own for step, own in alone(comparable(rows)).groupby(level="step")}
    said = {}
    for step, all_of_it in alone(rows).groupby(level="step"):
        own = kept[str(step)]
        left_out = len(all_of_it) - len(own)
        others = "beside a busy sibling" if own.all() else "with a core of their own"
        words = (
            [] if own.all() else ["beside a busy sibling" if not own.any() else "some beside a busy sibling"]
        )
        words += [f"{left_out} launch(es) {others} left out"] if left_out else []
        said[str(step)] = "; ".join(words)
    return said


def alone(rows: pd.DataFrame) -> pd.Series[bool]:
    """(step, launch) → whether its core was its own; without the launches of several threads, and those that did not measure it."""
    wanted = rows[(rows["threads"] == 1) & rows["metric"].isin([WAITING, MANY])]
    wide = wanted.pivot_table(index=["step", "launch"], columns="metric", values="value", aggfunc="last")
    wide = wide.reindex(columns=[WAITING, MANY]).dropna()
    found: pd.Series[bool] = (wide[MANY] <= OWN * wide[WAITING]).astype(bool)
    return found
