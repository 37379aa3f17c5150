"""The schema of every result table: one declaration, from which Parquet, CSV, SQL and the docs follow.

Versioned by TABLES_VERSION (in the metadata of every Parquet file). A column is never given another
meaning; a new one is added at the end and raises the version.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

TABLES_VERSION = 4

#: text · int64 · float64 · bool · UTC timestamp in microseconds
ColumnType = Literal["string", "int64", "float64", "bool", "timestamp"]


@dataclass(frozen=True)
class Column:
    name: str
    type: ColumnType
    doc: str
    unit: str = ""


def _c(name: str, type_: ColumnType, doc: str, unit: str = "") -> Column:
    return Column(name, type_, doc, unit)


_RUN = _c("run", "string", "id of the run, the name of its folder")
_HOST = _c("host", "string", "inventory name of the host")
_JOB = _c("job", "string", "name of the job in the playbook")
_STEP = _c("step", "string", "id of the step, as in plan.json")
_LAUNCH = _c("launch", "int64", "number of the launch within the step, from 0")
_BUILD = _c("build", "string", "build id that the harness reported, the source tree's digest")
_SEED = _c("seed", "int64", "seed of the launch")
_T = _c("t_s", "float64", "seconds since the launch started, on the host's monotonic clock", "s")

TABLES: dict[str, tuple[Column, ...]] = {
    "runs": (
        _RUN,
        _c("name", "string", "name of the playbook"),
        _c("started", "timestamp", "when the controller began"),
        _c("ended", "timestamp", "when the controller ended"),
        _c("verdict", "string", "holds | unknown | violated"),
        _c("exit_code", "int64", "exit code of the run"),
        _c("seed", "int64", "seed of the playbook"),
        _c("orch_version", "string", "version of the controller"),
        _c("bundle", "string", "digest of the native source tree"),
        _c("git_commit", "string", "commit of the source tree, empty outside a repository"),
        _c("git_dirty", "bool", "the tree differed from that commit"),
        _c("steps_planned", "int64", "planned steps"),
        _c("steps_passed", "int64", "of them passed"),
        _c("steps_failed", "int64", "of them failed"),
        _c("steps_stopped", "int64", "of them stopped"),
        _c("steps_lost", "int64", "of them lost"),
        _c("steps_skipped", "int64", "of them skipped"),
        _c("steps_invalid", "int64", "of them invalid: their host was found broken"),
    ),
    "hosts": (
        _RUN,
        _HOST,
        _c("status", "string", "ok | lost | quarantined"),
        _c("reason", "string", "why it was lost or quarantined"),
        _c("hostname", "string", "its own name"),
        _c("arch", "string", "machine architecture"),
        _c("cpu_model", "string", "model name of the CPU"),
        _c("cpus", "int64", "online logical CPUs that may be used"),
        _c("numa_nodes", "int64", "NUMA nodes with CPUs"),
        _c("memory", "int64", "memory of all nodes", "B"),
        _c("kernel", "string", "kernel release"),
        _c("os", "string", "distribution"),
        _c("python", "string", "version of the agent's Python"),
        _c("microcode", "string", "microcode revision"),
        _c("governor", "string", "frequency governor, empty where there is none"),
        _c("virtualisation", "string", "hypervisor, empty on bare metal"),
        _c("emulated", "bool", "its figures never enter a baseline: emulated or oversubscribed"),
        _c("boot_id", "string", "the kernel's boot id"),
        _c(
            "clock_offset",
            "float64",
            "host clock minus controller clock, as far as one reading proves; 0 where they may agree",
            "s",
        ),
        _c("bytes_shipped", "int64", "bytes sent for agent and bundle, 0 where all was there", "B"),
        _c(
            "marks",
            "string",
            "why `emulated`: emulated, shared, oversubscribed or throttled, in words; else empty",
        ),
    ),
    "steps": (
        _RUN,
        _HOST,
        _JOB,
        _STEP,
        _c("status", "string", "passed | failed | stopped | lost | skipped"),
        _c("reason", "string", "why, in words"),
        _c(
            "started",
            "timestamp",
            "start of its first launch, by the controller's clock as far as the host's is known to be off",
        ),
        _c("ended", "timestamp", "end of its last launch, likewise"),
        _c("workload", "string", "name of the workload"),
        _c("bench", "string", "name of the benchmark"),
        _c("variant", "string", "variant of the build"),
        _c("threads", "int64", "number of measured threads"),
        _c("placement", "string", "placement as asked"),
        _c("cpus", "string", "CPUs in thread order, comma separated"),
        _c("mem", "string", "memory policy"),
        _c("cell", "string", "the matrix cell, as JSON"),
        _c("launches", "int64", "launches that were started"),
        _c("launches_ok", "int64", "launches that ended with a result and no failure"),
        _c("shares_housekeeping", "bool", "measured threads shared a CPU with agent and Ray"),
        _BUILD,
        _SEED,
    ),
    "samples": (
        _RUN,
        _HOST,
        _JOB,
        _STEP,
        _LAUNCH,
        _c("phase", "string", "measure: of the measured window, warm-up kept out"),
        _c("metric", "string", "name of the metric"),
        _c("value", "float64", "its value, in `unit`"),
        _c("unit", "string", "unit of the value"),
        _T,
        _c("bench", "string", "name of the benchmark"),
        _c("variant", "string", "variant of the build"),
        _c("threads", "int64", "number of measured threads"),
        _c("placement", "string", "placement as asked"),
        _c("cell", "string", "the matrix cell, as JSON"),
        _BUILD,
        _SEED,
        _c("ok", "bool", "false where the launch failed, was violated or was cut short"),
    ),
    "intervals": (
        _RUN,
        _HOST,
        _JOB,
        _STEP,
        _LAUNCH,
        _c("metric", "string", "name of the metric"),
        _c("value", "float64", "its value over this interval, in `unit`"),
        _c("unit", "string", "unit of the value"),
        _c("t_s", "float64", "end of the interval, seconds since the workload began", "s"),
        _BUILD,
        _SEED,
    ),
    "histograms": (
        _RUN,
        _HOST,
        _JOB,
        _STEP,
        _LAUNCH,
        _c("phase", "string", "warmup | measure"),
        _c("metric", "string", "name of the metric"),
        _c("unit", "string", "unit of the recorded values"),
        _c("encoding", "string", "hdr-v2-base64"),
        _c("data", "string", "the histogram"),
        _BUILD,
        _SEED,
    ),
    "latencies": (
        _RUN,
        _HOST,
        _JOB,
        _STEP,
        _LAUNCH,
        _c("phase", "string", "warmup | measure"),
        _c("metric", "string", "name of the metric"),
        _c("unit", "string", "unit of the values"),
        _c("count", "int64", "values recorded"),
        _c("min", "float64", "smallest, in `unit`"),
        _c("mean", "float64", "mean, in `unit`"),
        _c("p50", "float64", "median, in `unit`"),
        _c("p90", "float64", "90th percentile, in `unit`"),
        _c("p99", "float64", "99th percentile, in `unit`"),
        _c("p999", "float64", "99.9th percentile, in `unit`"),
        _c("p9999", "float64", "99.99th percentile, in `unit`"),
        _c("max", "float64", "largest, in `unit`"),
        _BUILD,
        _SEED,
    ),
    "histories": (
        _RUN,
        _HOST,
        _JOB,
        _STEP,
        _LAUNCH,
        _c("spec", "string", "what it is a history of: deque, pool, capability, …"),
        _c("window", "int64", "number of the window within the launch, from 0"),
        _c("whole", "bool", "all of its records are there"),
        _c("data", "string", "its calls, a JSON list (harness protocol, record `history`)"),
        _BUILD,
        _SEED,
    ),
    "events": (
        _RUN,
        _HOST,
        _JOB,
        _STEP,
        _LAUNCH,
        _c("seq", "int64", "sequence number in the journal it came from"),
        _c("time", "timestamp", "wall clock of whoever wrote it"),
        _c("source", "string", "agent | controller | fold: concluded from the journals"),
        _c("kind", "string", "kind of the journal entry, or of the record"),
        _c("text", "string", "one line for a person"),
        _c("data", "string", "the entry's data, as JSON"),
    ),
    "vitals": (
        _RUN,
        _HOST,
        _JOB,
        _STEP,
        _LAUNCH,
        _T,
        _c("metric", "string", "name of the vital sign"),
        _c("value", "float64", "its value, in `unit`"),
        _c("unit", "string", "unit of the value"),
    ),
    "findings": (
        _RUN,
        _c("analysis", "string", "name of the analysis"),
        _c("subject", "string", "what it is about"),
        _c("verdict", "string", "holds | unknown | violated"),
        _c("summary", "string", "one sentence"),
        _c("value", "float64", "the figure, in `unit`"),
        _c("bound", "float64", "what it is held against, in `unit`"),
        _c("unit", "string", "unit of value and bound"),
        _c("low", "float64", "lower end of the interval around the value"),
        _c("high", "float64", "upper end of the interval around the value"),
        _c("evidence", "string", "rows of evidence, as JSON"),
    ),
}
