"""The scoreboard: which detector finds which planted fault, how soon, and what it reports that is none.

From the lines of `native/tools/try_mutants.py`. A detector *kills* a mutant where it does so with at least one seed; a report of
a decoy, which is correct and only looks odd, is a false alarm. A kill is *unique* where no other detector has it.
"""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Record = Mapping[str, Any]


def scoreboard(records: Iterable[Record], detectors: Sequence[str]) -> dict[str, Any]:
    """``{total: {planted, killed, decoys, false_alarms, unusable, missing}, planned, detectors: {name: …}, mutants: [...], void, unusable}``: ``planned`` is how many patches there are. Seconds (CPU
    seconds of the explorer) and executions are those up to the kill, median and 90th percentile over mutants and seeds; None where there is none.
    ``seeds_median``: of the trials of a mutant that were made."""
    listed = latest(records)
    trials: dict[str, list[Record]] = defaultdict(list)
    for r in listed:
        if r["type"] == "trial":
            trials[str(r["mutant"])].append(r)
    mutants = [_mutant(name, of, detectors) for name, of in sorted(trials.items())]
    planted = [m for m in mutants if not m["decoy"]]
    decoys = [m for m in mutants if m["decoy"]]
    unusable = [{"mutant": r["mutant"], "report": r["report"]} for r in listed if r["type"] == "unusable"]
    return {
        "total": {
            "planted": len(planted),
            "killed": sum(m["killed"] for m in planted),
            "decoys": len(decoys),
            "false_alarms": sum(m["killed"] for m in decoys),
            "unusable": len(unusable),
            "missing": missing(listed),
        },
        "planned": next((r["faults"] for r in reversed(listed) if r["type"] == "plan"), len(mutants)),
        "detectors": {d: _detector(d, planted, decoys, trials) for d in detectors},
        "kinds": _kinds(planted),
        "mutants": mutants,
        "void": [{k: r[k] for k in ("detector", "subject", "report")} for r in listed if r["type"] == "void"],
        "unusable": unusable,
    }


def latest(records: Iterable[Record]) -> list[Record]:
    """Those of the sources and patches that the last plan was made for, each answer once: a file of kept answers may have others, and the same
    again."""
    listed = list(records)
    plan = next((r for r in reversed(listed) if r["type"] == "plan"), {})
    stands_on = {"", str(plan.get("build", "")), *plan.get("stands_on", ())}
    patches = plan.get("patches")
    made: dict[str, Record] = {}
    for number, r in enumerate(listed):
        about, _, rest = str(r.get("key", "")).partition(":")
        of = rest.partition(":")[0]
        if (
            not plan
            or "key" not in r
            or (about in stands_on and (patches is None or r["type"] != "trial" or of in patches))
        ):
            made[str(r.get("key", number))] = r
    return list(made.values())


def missing(listed: Sequence[Record]) -> int:
    """Trials that were planned and not made."""
    planned = [int(r["trials"]) for r in listed if r["type"] == "plan"]
    return max(0, planned[-1] - sum(r["type"] == "trial" for r in listed)) if planned else 0


def _mutant(name: str, trials: Sequence[Record], detectors: Sequence[str]) -> dict[str, Any]:
    by = {}
    for detector in detectors:
        mine = [t for t in trials if t["detector"] == detector]
        kills = [t for t in mine if t["killed"]]
        if mine:
            by[detector] = {
                "seeds": len(mine),
                "kills": len(kills),
                "seconds": _middle(t["seconds"] for t in kills),
                "executions": _middle(t["executions"] for t in kills),
                "report": kills[0]["report"] if kills else "",
                "token": kills[0]["token"] if kills else "",
            }
    first = trials[0]
    return {
        "mutant": name,
        "breaks": first["breaks"],
        "kinds": first["kinds"],
        "subjects": first["subjects"],
        "decoy": bool(first["decoy"]),
        "killed": any(b["kills"] for b in by.values()),
        "by": by,
    }


def _detector(
    name: str, planted: Sequence[Record], decoys: Sequence[Record], trials: Mapping[str, list[Record]]
) -> dict[str, Any]:
    asked = [m for m in planted if name in m["by"]]
    killed = [m for m in asked if m["by"][name]["kills"]]
    kills = [t for m in killed for t in trials[m["mutant"]] if t["detector"] == name and t["killed"]]
    replayed = [t["replayed"] for t in kills if t["replayed"] is not None]
    switches = [t["switches"] for t in kills if t["switches"] is not None]
    return {
        "planted": len(planted),
        "asked": len(asked),
        "killed": len(killed),
        "seeds_median": _middle(m["by"][name]["seeds"] for m in asked),
        "with_every_seed": sum(m["by"][name]["kills"] == m["by"][name]["seeds"] for m in killed),
        "unique": sum(sum(bool(b["kills"]) for b in m["by"].values()) == 1 for m in killed),
        "false_alarms": sum(bool(m["by"].get(name, {}).get("kills")) for m in decoys),
        "seconds_median": _middle(t["seconds"] for t in kills),
        "seconds_p90": _ninth(t["seconds"] for t in kills),
        "executions_median": _middle(t["executions"] for t in kills),
        "executions_p90": _ninth(t["executions"] for t in kills),
        "replayed": sum(replayed) / len(replayed) if replayed else None,
        "switches_median": _middle(switches),
    }


def _kinds(planted: Sequence[Record]) -> dict[str, dict[str, int]]:
    """What it takes to see a fault → how many such there are, and how many were killed."""
    made: dict[str, dict[str, int]] = {}
    for m in planted:
        for kind in m["kinds"]:
            counts = made.setdefault(kind, {"planted": 0, "killed": 0})
            counts["planted"] += 1
            counts["killed"] += m["killed"]
    return dict(sorted(made.items()))


def _middle(values: Iterable[float]) -> float | None:
    listed = list(values)
    return round(statistics.median(listed), 3) if listed else None


def _ninth(values: Iterable[float]) -> float | None:
    """The 90th percentile, as the least value that nine of ten do not exceed."""
    listed = sorted(values)
    return round(listed[-(-9 * len(listed) // 10) - 1], 3) if listed else None


HEAD = ("DETECTOR", "KILLED", "ASKED", "EVERY SEED", "UNIQUE", "FALSE", "SECONDS", "P90", "EXECUTIONS", "P90")


def table(board: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """A row per detector, below the names of the columns."""
    rows: list[tuple[str, ...]] = [(*HEAD, "REPLAYED", "SWITCHES")]
    for name, d in board["detectors"].items():
        counts = (d["killed"], d["asked"], d["with_every_seed"], d["unique"], d["false_alarms"])
        figures = ("seconds_median", "seconds_p90", "executions_median", "executions_p90")
        again = "–" if d["replayed"] is None else f"{d['replayed']:.0%}"
        rows.append(
            (name, *map(str, counts), *(_figure(d[f]) for f in figures), again, _figure(d["switches_median"]))
        )
    return rows


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}"


def lines(board: Mapping[str, Any]) -> Iterable[str]:
    """For a terminal: a line per detector, then what survived, what was reported and is none, and what could not be tried."""
    rows = table(board)
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        cells = [
            t.ljust(w) if i == 0 else t.rjust(w) for i, (t, w) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  ".join(cells).rstrip()
    yield ""
    if board["kinds"]:
        yield "by kind: " + ", ".join(
            f"{k} {c['killed']} of {c['planted']}" for k, c in board["kinds"].items()
        )
    for m in board["mutants"]:
        if not m["decoy"] and not m["killed"]:
            yield f"survived: {m['mutant']} (breaks {m['breaks']}; {', '.join(m['subjects'])})"
        if m["decoy"] and m["killed"]:
            by = [f"{d}: {b['report']}" for d, b in m["by"].items() if b["kills"]]
            yield f"false alarm: {m['mutant']}: {'; '.join(by)}"
    for v in board["void"]:
        yield f"void: {v['detector']} for {v['subject']}: {v['report']}"
    for u in board["unusable"]:
        yield f"not tried: {u['mutant']}: {u['report'].splitlines()[0] if u['report'] else ''}"
    total = board["total"]
    if total["missing"]:
        yield f"not made: {total['missing']} trials"
    yield (
        f"{total['killed']} of {total['planted']} planted faults killed, "
        f"{total['false_alarms']} false alarms on {total['decoys']} decoys"
    )
