"""docs/reference/tables.md from `model.tables`: ``python -m orchestrator.results.tables_doc`` prints it."""

from __future__ import annotations

import sys

from orchestrator.model.tables import TABLES, TABLES_VERSION

_ABOUT = {
    "runs": "One row per run.",
    "hosts": "One row per run and host of the plan, lost ones included.",
    "steps": "One row per planned step: exactly those of `plan.json`, whether they ran or not.",
    "samples": "One row per launch and metric of its result. Warm-up is not in it.",
    "intervals": "How a launch went over time: one row per interval of the measured window and metric.",
    "histograms": "One row per histogram that a launch printed.",
    "latencies": "One row per histogram that can be read: its percentiles.",
    "histories": "One row per window of recorded calls, for the analysis linearizability.",
    "events": "What happened, one line each: entries of the journals, and what was concluded from them.",
    "vitals": "Vital signs of the host, sampled while a launch ran.",
    "findings": "What the analyses say.",
}

_HEAD = f"""# Result tables

Written from `orchestrator/model/tables.py` by `python -m orchestrator.results.tables_doc`; a test compares them.

Version of the tables: {TABLES_VERSION}, in the metadata of every Parquet file (`orch.tables_version`; `orch.run` is the
run). Each run has its own files, `runs/<id>/tables/<table>.parquet`; `orch results query` reads those of all runs
together, one view per table. Each column carries `unit` and `doc` in its metadata. Timestamps are UTC in
microseconds. A missing value is null. Rows lead back to run, host, step, launch, build and seed.
"""


def tables_markdown() -> str:
    parts = [_HEAD]
    for name, columns in TABLES.items():
        parts.append(f"\n## {name}\n\n{_ABOUT[name]}\n\n| column | type | unit | what |\n|---|---|---|---|\n")
        parts += [
            f"| `{c.name}` | {c.type} | {c.unit} | {c.doc.replace('|', chr(92) + '|')} |\n" for c in columns
        ]
    return "".join(parts)


if __name__ == "__main__":
    sys.stdout.write(tables_markdown())
