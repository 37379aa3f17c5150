"""True run folders for tests: a plan and journals written line by line through `entry_line`, as agents and
controller write them. Loaded as the fixture `run_folders` (tests/conftest.py or a package's conftest)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from agents.wire import PROTOCOL, Entry, dumps, entry_line
from orchestrator.model.finding import Finding
from orchestrator.model.plan import PLAN_SCHEMA, JobPlan, JudgeSpec, Launches, Plan, StepPlan, StopSpec
from orchestrator.results.folder import RunFolder
from orchestrator.results.rebuild import Rebuilt

T0 = 1_790_000_000.0
BUILD = "0123456789abcdef"


def step(job: str = "scaling", number: int = 0, host: str = "h1", **given: Any) -> StepPlan:
    base = StepPlan(
        id=f"{job}-{number:04d}@{host}",
        host=host,
        job=job,
        cell={},
        workload="native",
        settings={"ids": 1024},
        bench="capability_check",
        variant="release",
        threads=1,
        placement="compact",
        cpus=[1],
        mem="local",
        warmup_s=0.1,
        seconds=1.0,
        interval_s=0.5,
        seed=1000 + number,
        launches=Launches(),
    )
    return replace(base, **given)


def job(name: str = "scaling", **given: Any) -> JobPlan:
    return replace(JobPlan(name, "native", [], [], [], wall_s=60.0), **given)


def plan(steps: Sequence[StepPlan], jobs: Sequence[JobPlan] | None = None, seed: int = 7) -> Plan:
    names = list(dict.fromkeys(s.job for s in steps))
    return Plan(
        schema=PLAN_SCHEMA,
        name="sample",
        seed=seed,
        hosts=list(dict.fromkeys(s.host for s in steps)),
        variants=["release"],
        jobs=list(jobs) if jobs is not None else [job(n) for n in names],
        exports=["parquet"],
        estimate_s=1.0,
        steps=list(steps),
    )


def judge(name: str, **parameters: Any) -> JudgeSpec:
    return JudgeSpec(name, parameters)


def stop(name: str, argument: Any) -> StopSpec:
    return StopSpec(name, argument)


def hello(of: StepPlan) -> dict[str, Any]:
    return {
        "type": "hello",
        "protocol": PROTOCOL,
        "build": BUILD,
        "variant": of.variant,
        "compiler": "gcc 12",
        "features": [],
        "bench": of.bench,
        # a bench called `measure` only measures
        "contracts": [] if of.bench == "measure" else ["C1", "C5"],
        "threads": of.threads,
        "cpus": of.cpus,
        "mem": of.mem,
        "seed": of.seed,
        "warmup_s": of.warmup_s,
        "seconds": of.seconds,
        "settings": of.settings,
    }


def interval(phase: str, t: float, ops: int, dt: float = 0.5) -> dict[str, Any]:
    return {"type": "interval", "phase": phase, "t": t, "dt": dt, "ops": ops}


def violation(contract: str = "C1", evidence: str = "check of 7 succeeded after revoke") -> dict[str, Any]:
    return {"type": "violation", "contract": contract, "evidence": evidence, "t": 0.5, "thread": 0}


def result(rate: float = 1e6, status: str = "ok", **given: Any) -> dict[str, Any]:
    metrics = [
        {"metric": "ops_per_second", "value": rate, "unit": "1/s"},
        {"metric": "ns_per_op", "value": 1e9 / rate if rate else 0.0, "unit": "ns"},
        {"metric": "thread_ops_min", "value": rate, "unit": "1"},
        {"metric": "thread_ops_max", "value": rate, "unit": "1"},
    ]
    base = {"type": "result", "status": status, "seconds": 1.0, "ops": round(rate), "violations": 0}
    return {**base, "metrics": metrics, **given}


def ended(**given: Any) -> dict[str, Any]:
    return {
        "reason": "exited",
        "exit": 0,
        "signal": None,
        "seconds": 1.2,
        "records": 4,
        "garbage": 0,
        "truncated": False,
        "max_rss_bytes": 1 << 20,
        "core": "",
        **given,
    }


def good_records(of: StepPlan, rate: float = 1e6) -> list[dict[str, Any]]:
    return [
        hello(of),
        interval("warmup", 0.1, 999),
        interval("measure", 0.6, round(rate / 2)),
        interval("measure", 1.1, round(rate / 2)),
        result(rate),
    ]


def launch_entries(
    of: StepPlan,
    number: int = 0,
    records: Sequence[dict[str, Any]] | None = None,
    end: dict[str, Any] | None = None,
    *,
    output: Sequence[str] = (),
    stderr: Sequence[str] = (),
    notes: Sequence[str] = (),
    t: float = T0,
) -> list[Entry]:
    """One launch, whole. ``records`` None: those of a good launch; ``end`` None: a good end; {}: no end."""
    started = {
        "run": "r",
        "host": of.host,
        "job": of.job,
        "step": of.id,
        "launch": number,
        "workload": of.workload,
        "argv": ["orch-harness"],
        "pid": 42,
        "protocol": PROTOCOL,
        "seed": of.seed + number,
        "cpus": of.cpus,
        "mem": of.mem,
    }
    kinds: list[tuple[str, dict[str, Any]]] = [("started", started)]
    kinds += [("output", {"stream": "stdout", "text": text}) for text in output]
    kinds += [("output", {"stream": "stderr", "text": text}) for text in stderr]
    kinds += [("record", r) for r in (good_records(of) if records is None else records)]
    kinds += [("vital", {"rss": 1 << 20})]
    kinds += [("note", {"text": text}) for text in notes]
    kinds += [("ended", ended() if end is None else end)] if end != {} else []
    return [
        Entry(n, number, t + n * 0.2, 100.0 + n * 0.2, kind, data) for n, (kind, data) in enumerate(kinds)
    ]


@dataclass
class Builder:
    """Writes one run folder. ``finish`` adds the controller's end; a killed controller has none."""

    folder: RunFolder
    plan: Plan
    clock: float = T0
    _seq: int = field(default=0)

    @classmethod
    def make(cls, root: Path, plan_: Plan, name: str = "20261123-201530-sample-0001") -> Builder:
        folder = RunFolder(root / name)
        folder.write("plan.json", plan_.to_json())
        builder = cls(folder, plan_)
        started = {
            "run": name,
            "name": plan_.name,
            "seed": plan_.seed,
            "argv": ["orch"],
            "orch_version": "0.1.0",
        }
        builder.note("run_started", {**started, "bundle": BUILD, "git_commit": "abc", "git_dirty": False})
        for host in plan_.hosts:
            builder.note(
                "host",
                {"host": host, "status": "ok", "reason": "", "clock_offset_s": 0.0, "bytes_shipped": 9},
            )
        return builder

    def note(self, kind: str, data: dict[str, Any]) -> Builder:
        self.clock += 1.0
        entry = Entry(self._seq, 0, self.clock, self.clock - T0, kind, data)
        self._seq += 1
        self.raw("journal/controller.ndjson", entry_line(entry))
        return self

    def raw(self, relative: str, text: str) -> Builder:
        path = self.folder.path / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as f:
            f.write(text)
        return self

    def launch(self, of: StepPlan, entries: Sequence[Entry]) -> Builder:
        self.folder.append(of.host, of.id, "".join(map(entry_line, entries)).encode())
        return self

    def say(self, kind: str, of: StepPlan, reason: str = "", **more: Any) -> Builder:
        return self.note(kind, {"host": of.host, "job": of.job, "step": of.id, "reason": reason, **more})

    def passed(self, of: StepPlan, rates: Sequence[float] = (1e6,)) -> Builder:
        """Whole launches with these rates, and the controller's word."""
        for number, rate in enumerate(rates):
            self.launch(of, launch_entries(of, number, good_records(of, rate)))
        return self.say("step_done", of)

    def finish(self, *, interrupted: bool = False) -> RunFolder:
        if interrupted:
            self.note("interrupted", {"signal": "SIGINT"})
        self.note("run_ended", {"interrupted": interrupted})
        return self.folder

    def facts(self, host: str, **given: Any) -> Builder:
        self.folder.write(f"facts/{host}.json", dumps(facts(host, **given)))
        return self


def facts(host: str = "h1", **given: Any) -> dict[str, Any]:
    return {
        "protocol": PROTOCOL,
        "hostname": f"{host}.lan",
        "arch": "x86_64",
        "cpu_model": "Test CPU",
        "cpu_flags": ["avx2"],
        "cpus": [{"cpu": n, "core": n, "package": 0, "node": 0, "allowed": n != 3} for n in range(4)],
        "nodes": [{"node": 0, "cpus": [0, 1, 2, 3], "memory_bytes": 1 << 30, "distances": [10]}],
        "caches": {"L1d": 32768},
        "memory_bytes": 1 << 30,
        "kernel": "6.1.0",
        "os": "Debian 12",
        "python": "3.11.2",
        "libc": "glibc 2.36",
        "virtualisation": "",
        "governor": "performance",
        "smt": "off",
        "thp": "madvise",
        "numa_balancing": "0",
        "aslr": "2",
        "microcode": "0x1",
        "boot_id": f"boot-{host}",
        "clock_s": T0,
        "free_memory_bytes": 1 << 29,
        "spool_free_bytes": 1 << 30,
        "uptime_s": 1000.0,
        "load_1m": 0.0,
        **given,
    }


def by(rebuilt: Rebuilt, name: str) -> list[Finding]:
    """The findings of one analysis."""
    return [f for f in rebuilt.findings if f.analysis == name]
