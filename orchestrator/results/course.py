"""How the launches of one step went over time: intervals and vital signs as columns, for there may be a hundred million of them, and as rows
of the tables `intervals` and `vitals` only where they are written."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from agents.wire import VITAL_UNITS, Entry
from orchestrator.model.plan import StepPlan
from orchestrator.results.launch import Launch
from orchestrator.results.lines import Numbers, Part, Whole
from orchestrator.results.schema import INT64_MAX, arrow_schema

RATE = "ops_per_second"
#: Rows that are made at once.
_ROWS = 1 << 16
#: Entries taken one by one that are put together.
_TOGETHER = 4096


def is_course(entry: Entry) -> bool:
    """An interval or a vital sign: numbers by the thousand."""
    return entry.kind == "vital" or (entry.kind == "record" and entry.data.get("type") == "interval")


@dataclass
class _Columns:
    """One kind of one launch. Chunks of (seq, time, name → values)."""

    chunks: list[tuple[Whole, Numbers, dict[str, Numbers]]] = field(default_factory=list)
    loose: list[tuple[int, float, dict[str, float]]] = field(default_factory=list)

    def add(self, seq: int, time: float, values: dict[str, float]) -> None:
        self.loose.append((seq, time, values))
        if len(self.loose) >= _TOGETHER:
            self.settle()

    def settle(self) -> None:
        if self.loose:
            seqs, times, rows = zip(*self.loose, strict=True)
            names = sorted({name for row in rows for name in row})
            values = {n: np.array([row.get(n, np.nan) for row in rows], dtype=np.float64) for n in names}
            self.chunks.append((np.array(seqs, dtype=np.int64), np.array(times, dtype=np.float64), values))
            self.loose = []

    def in_order(self) -> list[tuple[Whole, Numbers, dict[str, Numbers]]]:
        """By sequence number."""
        self.settle()
        ends = [(int(seq[0]), int(seq[-1])) for seq, _, _ in self.chunks if len(seq)]
        straight = all(bool((np.diff(seq) > 0).all()) for seq, _, _ in self.chunks)
        if straight and all(a[1] < b[0] for a, b in itertools.pairwise(ends)):
            return self.chunks
        seqs, times = (np.concatenate([c[i] for c in self.chunks]) for i in (0, 1))
        order = np.argsort(seqs, kind="stable")
        names = sorted({name for _, _, values in self.chunks for name in values})
        joined = {
            n: np.concatenate([v.get(n, np.full(len(s), np.nan)) for s, _, v in self.chunks])[order]
            for n in names
        }
        return [(seqs[order], times[order], joined)]


class Course:
    """Of one step, while its journal is read."""

    def __init__(self) -> None:
        self._intervals: dict[int, _Columns] = {}
        self._vitals: dict[int, _Columns] = {}

    def take(self, entry: Entry) -> None:
        """An entry that `is_course`."""
        data = entry.data
        if entry.kind == "vital":
            columns = self._vitals.setdefault(entry.launch, _Columns())
            columns.add(entry.seq, entry.mono, dict(_flat(data)))
        elif data.get("phase") == "measure":
            t, dt, ops = (_number(data.get(k)) for k in ("t", "dt", "ops"))
            values = {RATE: ops / dt} if ops is not None and dt else {}
            extra = data.get("metrics")
            named = extra.items() if isinstance(extra, dict) else ()
            further = {str(n): float(v) for n, v in named if _number(v) is not None}
            columns = self._intervals.setdefault(entry.launch, _Columns())
            # a metric may have the same name as the rate
            columns.add(entry.seq, np.nan if t is None else t, {**values, **_further(further)})

    def take_part(self, part: Part, of_interval: bool, launch: int) -> None:
        """Those of one launch out of a block."""
        mine = part.launch == launch
        if of_interval:
            mine &= part.counts
        if not mine.any():
            return
        into = (self._intervals if of_interval else self._vitals).setdefault(launch, _Columns())
        into.settle()
        values = {name: v[mine] for name, v in part.values.items()}
        if of_interval:
            into.chunks.append((part.seq[mine], part.t[mine], {RATE: part.rate[mine], **_further(values)}))
        else:
            into.chunks.append((part.seq[mine], part.t[mine], values))

    def steal(self) -> tuple[int, float]:
        """How many vital signs say what share of the CPUs' time others had, and their sum, per cent."""
        count, total = 0, 0.0
        for columns in self._vitals.values():
            columns.settle()
            for _, _, values in columns.chunks:
                known = values.get("steal", np.zeros(0))
                count += int(np.count_nonzero(~np.isnan(known)))
                total += float(np.nansum(known))
        return count, total

    def intervals(self, run: str, step: StepPlan, launches: Mapping[int, Launch]) -> Iterator[pa.Table]:
        for number in sorted(self._intervals):
            launch = launches[number]
            units = {m.metric: m.unit for m in launch.result.metrics} if launch.result else {}
            seed = step.seed if launch.seed is None else launch.seed
            tail = (launch.build, seed if abs(seed) <= INT64_MAX else None)
            for _, times, values in self._intervals.pop(number).in_order():
                told = {n: (_plain(n), "1/s" if n == RATE else units.get(_plain(n), "")) for n in values}
                head = (run, step.host, step.job, step.id, number)
                yield from _tables("intervals", head, times, values, told, tail)

    def vitals(self, run: str, step: StepPlan, begins: Mapping[int, float]) -> Iterator[pa.Table]:
        """``begins``: launch → its first entry, host's monotonic clock."""
        for number in sorted(self._vitals):
            for _, times, values in self._vitals.pop(number).in_order():
                told = {n: (n, VITAL_UNITS.get(n, "")) for n in values}
                head = (run, step.host, step.job, step.id, number)
                yield from _tables("vitals", head, times - begins[number], values, told, ())


#: Before the name of a further metric, so that none is taken for the rate.
_MARK = "\0"


def _further(values: dict[str, Any]) -> dict[str, Any]:
    return {_MARK + name: v for name, v in values.items()}


def _plain(name: str) -> str:
    return name.removeprefix(_MARK)


def _tables(
    table: str,
    head: tuple[Any, ...],
    times: Numbers,
    values: dict[str, Numbers],
    told: dict[str, tuple[str, str]],
    tail: tuple[Any, ...],
) -> Iterator[pa.Table]:
    """One row per time and value that is known, in the order of time. ``told``: name → (metric, unit)."""
    if not values:
        return
    schema = arrow_schema(table)
    names = sorted(values, key=lambda n: (n != RATE, n))
    words = [told[n] for n in names]
    rows = max(1, _ROWS // len(names))
    for begin in range(0, len(times), rows):
        part = np.stack([values[n][begin : begin + rows] for n in names], axis=1).ravel()
        known = ~np.isnan(part)
        t = np.repeat(times[begin : begin + rows], len(names))[known]
        which = np.tile(np.arange(len(names), dtype=np.int32), len(part) // len(names))[known]
        n = len(t)
        if n == 0:
            continue
        cells: dict[str, Any] = dict(
            zip(("run", "host", "job", "step", "launch"), (_same(x, n) for x in head), strict=True)
        )
        cells |= {
            "metric": _worded([w[0] for w in words], which),
            "unit": _worded([w[1] for w in words], which),
        }
        cells |= {"value": part[known], "t_s": pa.array(t, from_pandas=True)}
        cells |= dict(zip(("build", "seed"), (_same(x, n) for x in tail), strict=False))
        yield pa.table(
            [
                pa.array(cells[f.name], f.type)
                if not isinstance(cells[f.name], pa.Array)
                else cells[f.name].cast(f.type)
                for f in schema
            ],
            schema=schema,
        )


def _same(value: Any, count: int) -> pa.Array:
    return pa.nulls(count) if value is None else pa.repeat(value, count)


def _worded(words: list[str], which: Any) -> pa.Array:
    if len(set(words)) == 1:
        return pa.repeat(words[0], len(which))
    return pa.DictionaryArray.from_arrays(pa.array(which), pa.array(words)).cast(pa.string())


def _flat(data: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    for name, value in data.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        elif _number(value) is not None:
            yield prefix + name, float(value)


def _number(value: Any) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None
