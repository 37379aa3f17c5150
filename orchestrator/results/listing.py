"""One line about each run, from its tables where it has them: reads little, however many runs there are."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from orchestrator.results.folder import RunFolder

LISTED = (
    "run",
    "name",
    "started",
    "verdict",
    "exit_code",
    "steps_planned",
    "steps_passed",
    "steps_failed",
    "steps_stopped",
    "steps_lost",
    "steps_skipped",
    "steps_invalid",
)


def run_line(folder: RunFolder) -> dict[str, Any]:
    """A value for each of `LISTED`; all but ``run`` None where the run has no tables."""
    line: dict[str, Any] = dict.fromkeys(LISTED)
    path = folder.tables / "runs.parquet"
    if path.is_file():
        try:
            line.update(pq.read_table(path, columns=list(LISTED)).to_pylist()[0])
        except (OSError, IndexError, pa.ArrowException):
            line["verdict"] = "unreadable"
    line["run"] = folder.id
    if line["started"] is not None:
        line["started"] = line["started"].strftime("%Y-%m-%dT%H:%M:%SZ")
    return line
