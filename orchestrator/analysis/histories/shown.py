"""A few calls as a person reads them: one column per thread, time downwards."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.analysis.histories.calls import Call, Value


def columns(calls: Sequence[Call]) -> list[str]:
    """Lines: a line where a call begins (`┌`), one where it returns (`└`) with its answer, `│` between; `·` where nothing runs."""
    threads = sorted({c.thread for c in calls})
    events = sorted([(c.inv, 0, c) for c in calls] + [(c.res, 1, c) for c in calls], key=lambda e: e[:2])
    rows: list[list[str]] = [["ns", *(f"thread {t}" for t in threads)]]
    running: set[int] = set()
    for at, returns, call in events:
        if at == float("inf"):
            continue
        mark = f"└ {told(call.ret)}" if returns else f"┌ {asked(call)}"
        rows.append(
            [f"{at:.0f}", *(mark if t == call.thread else "│" if t in running else "·" for t in threads)]
        )
        (running.discard if returns else running.add)(call.thread)
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]


def asked(call: Call) -> str:
    given = [str(call.obj)] if call.obj else []
    given += [] if call.arg is None else [told(call.arg)]
    return f"{call.op}({', '.join(given)})"


def told(value: Value) -> str:
    if value is None:
        return "–"
    if isinstance(value, tuple):
        return "[" + " ".join(map(str, value)) + "]"
    return str(value).lower() if isinstance(value, bool) else str(value)
