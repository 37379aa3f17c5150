"""The figures of benches of arms as the tables of docs/OPTIMIZATION_RESULTS.md, from a run's Parquet files alone:
``python -m orchestrator.report.optimization RUN`` prints them, with ``--write FILE`` they also replace what FILE has between
its two marks."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from orchestrator.analysis import bootstrap
from orchestrator.analysis.bootstrap import Interval
from orchestrator.analysis.own_core import alone, comparable
from orchestrator.analysis.paired import WORDS, measured, ratios
from orchestrator.analysis.tables import Tables
from orchestrator.errors import InputError, OrchError
from orchestrator.model.finding import Verdict
from orchestrator.results.folder import RunFolder
from orchestrator.results.store import read_tables

BEGIN = "<!-- figures: begin; written by `make bench-native` -->"
END = "<!-- figures: end -->"
_MAIN = ("floor", "baseline", "ours")
_CALIBRATION = "cal_"


def render(tables: Tables) -> str:
    """Markdown. A figure that was not measured is a dash."""
    parts = [_where(tables), "", "### Figures", "", *_figures(tables), "", "### Targets", ""]
    parts += [*_targets(tables), *_crowded(tables), "", "### Calibration", "", *_calibration(tables)]
    return "\n".join(parts) + "\n"


def _where(tables: Tables) -> str:
    run, hosts = tables["runs"].iloc[0], tables["hosts"]
    machines = [
        f"{h['cpu_model']}, {h['cpus']} CPUs ({h['virtualisation'] or 'no hypervisor'})"
        for h in hosts.to_dict("records")
    ]
    vitals = tables["vitals"]
    load = vitals[vitals["metric"] == "load_1m"]["value"]
    at_load = f"load {load.median():.1f} (at most {load.max():.1f})" if len(load) else "load unknown"
    clean, dropped = _samples(tables)
    commit = str(run["git_commit"] or "")[:12]
    changed = ", and changes" if not pd.isna(run["git_dirty"]) and bool(run["git_dirty"]) else ""
    return (
        f"Run `{run['run']}` of {run['started']:%Y-%m-%d %H:%M} UTC, commit {commit or 'unknown'}{changed}; {'; '.join(machines)}; {at_load}; "
        f"{_owners(tables)}{clean + dropped} samples, {dropped / max(1, clean + dropped):.1%} dropped because a thread left its CPU. "
        "Medians over launches, ns per operation and thread; ratios are of one launch each, with the 99% interval of their median."
    )


def _owners(tables: Tables) -> str:
    own = alone(_arms(tables))
    return f"{own.sum()} of {len(own)} launches of one thread had a core of their own; " if len(own) else ""


def _samples(tables: Tables) -> tuple[int, int]:
    events = tables["events"]
    told = [json.loads(d) for d in events[events["kind"] == "counter"]["data"]]
    sums = {"_clean": 0, "_dropped": 0}
    for record in told:
        for suffix in sums:
            if str(record.get("name", "")).endswith(suffix):
                sums[suffix] += int(record.get("value") or 0)
    return sums["_clean"], sums["_dropped"]


# -- figures -------------------------------------------------------------------------------------------------


def _arms(tables: Tables) -> pd.DataFrame:
    rows = tables["samples"]
    rows = rows[(rows["phase"] == "measure") & rows["ok"].fillna(False) & rows["bench"].str.startswith("op_")]
    return rows[rows["metric"].str.endswith("_ns") & (rows["unit"] == "ns")]


def _figures(tables: Tables) -> list[str]:
    seed = int(tables["runs"]["seed"].iloc[0])
    lines = _head(
        "operation", "cell", "floor", "baseline", "others", "ours", "ours / floor", "baseline / ours"
    )
    arms = comparable(_arms(tables))
    for (job, _, step), rows in arms.groupby(["job", "host", "step"], sort=False):
        medians = {str(m).removesuffix("_ns"): v for m, v in rows.groupby("metric")["value"].median().items()}
        cell = json.loads(rows["cell"].iloc[0])
        others = [
            f"{a} {_ns(v)}" for a, v in medians.items() if a not in _MAIN and not a.startswith(_CALIBRATION)
        ]
        lines.append(
            _row(
                str(job),
                " ".join(f"{k} {v}" for k, v in sorted(cell.items())),
                _ns(medians.get("floor")),
                _ns(medians.get("baseline")),
                ", ".join(others),
                _ns(medians.get("ours")),
                _ratio(tables, str(job), str(step), ("ours", "floor"), seed),
                _ratio(tables, str(job), str(step), ("baseline", "ours"), seed),
            )
        )
    return lines


def _crowded(tables: Tables) -> list[str]:
    """The launches that stand in no row of the figures, for they had a core of another kind."""
    arms = _arms(tables)
    rest = arms[~arms.index.isin(comparable(arms).index)]
    if not len(rest):
        return []
    lines = ["", "### The other launches", ""]
    lines += ["What the same arms cost in the launches left out above. Medians.", ""]
    lines += _head(
        "operation",
        "cell",
        "core",
        "launches",
        "floor",
        "baseline",
        "ours",
        "ours / floor",
        "baseline / ours",
    )
    for (job, step), rows in rest.groupby(["job", "step"], sort=False):
        medians = {str(m).removesuffix("_ns"): v for m, v in rows.groupby("metric")["value"].median().items()}
        cell = json.loads(rows["cell"].iloc[0])
        named = " ".join(f"{k} {v}" for k, v in sorted(cell.items()))
        pairs = [
            ratios(rows, f"{a}_ns", [f"{b}_ns"]).get(str(step))
            for a, b in (("ours", "floor"), ("baseline", "ours"))
        ]
        told = [f"{pd.Series(p).median():.3g}" if p else "–" for p in pairs]
        core = "own" if alone(rows).all() else "shared"
        costs = (_ns(medians.get(m)) for m in _MAIN)
        lines.append(_row(str(job), named, core, str(rows["launch"].nunique()), *costs, *told))
    return lines


def _ratio(tables: Tables, job: str, step: str, of: tuple[str, str], seed: int) -> str:
    found = ratios(comparable(measured(tables, job)), f"{of[0]}_ns", [f"{of[1]}_ns"]).get(step)
    if not found:
        return "–"
    return _interval(bootstrap.median(found, seed, step, f"{of[0]}_ns", f"{of[1]}_ns"))


def _interval(found: Interval) -> str:
    if found.low is None or found.high is None:
        return f"{found.middle:.3g}"
    return f"{found.middle:.3g} ({found.low:.3g} – {found.high:.3g})"


# -- targets and calibration ---------------------------------------------------------------------------------


def _targets(tables: Tables) -> list[str]:
    rows = tables["findings"]
    rows = rows[(rows["analysis"] == "paired") & (rows["bound"].notna() | (rows["verdict"] != Verdict.HOLDS))]
    lines = _head("target", "measured", "aim", "", "besides")
    counts = dict.fromkeys(WORDS.values(), 0)
    for row in rows.to_dict("records"):
        word = WORDS[Verdict(row["verdict"])]
        counts[word] += 1
        found = Interval(row["value"], _or_none(row["low"]), _or_none(row["high"]), 0)
        aim = (
            row["summary"].rpartition("; ")[2].rpartition(": ")[0]
            if pd.notna(row["bound"])
            else "not measured"
        )
        besides = "; ".join(row["summary"].split("; ")[1:-1]) if pd.notna(row["bound"]) else ""
        told = _interval(found) if pd.notna(row["value"]) else "–"
        lines.append(_row(row["subject"], told, aim, f"**{word}**", besides))
    told = ", ".join(f"{count} {word}" for word, count in counts.items())
    return [*lines, "", f"{told}. Undecided: the interval holds the bound, or there is none."]


def _calibration(tables: Tables) -> list[str]:
    rows = _arms(tables)
    named = rows[rows["metric"].str.startswith(_CALIBRATION)]
    lines = _head("", "median, ns", "lowest launch", "highest launch")
    for name, values in named.groupby("metric")["value"]:
        word = str(name).removeprefix(_CALIBRATION).removesuffix("_ns").replace("_", " ")
        lines.append(_row(word, _ns(values.median()), _ns(values.min()), _ns(values.max())))
    return lines


def _or_none(value: float) -> float | None:
    return None if pd.isna(value) else float(value)


def _ns(value: float | None) -> str:
    if value is None or pd.isna(value):
        return "–"
    return f"{value:.3g}" if value < 1000 else f"{value:,.0f}"


def _row(*cells: str) -> str:
    return "| " + " | ".join(cells) + " |"


def _head(*cells: str) -> list[str]:
    return [_row(*cells), "|" + "---|" * len(cells)]


# -- the command ---------------------------------------------------------------------------------------------


def write_into(page: Path, text: str) -> None:
    """Between the marks of the page. Raises InputError where they are not there."""
    before, begin, rest = page.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise InputError(str(page), "has no place for figures", f"it must have the lines {BEGIN} and {END}")
    page.write_text(f"{before}{BEGIN}\n\n{text}\n{END}{after}")


def main(words: Sequence[str]) -> int:
    import argparse

    parser = argparse.ArgumentParser(prog="python -m orchestrator.report.optimization", description=__doc__)
    parser.add_argument("run", nargs="?", default="last", help="id, path, or last (default)")
    parser.add_argument("--runs", metavar="FOLDER", type=Path, default=Path("runs"), help="where runs lie")
    parser.add_argument("--write", metavar="FILE", type=Path, help="page to write the tables into")
    asked = parser.parse_args(words)
    try:
        text = render(read_tables(RunFolder.open(asked.runs, asked.run)))
        if asked.write:
            write_into(asked.write, text)
    except OrchError as e:
        print(e, file=sys.stderr)
        return 2
    print(text, end="")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
