"""How one launch ended, told from its journal entries alone."""

from __future__ import annotations

import math
import signal as signals
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from agents.wire import LEFT_OUT, PROTOCOL, Entry, WireError, decode
from orchestrator.model.plan import StepPlan

#: Workloads that may print what they like: judged by their exit status where they print no record.
_PLAIN_WORKLOADS = frozenset({"command"})


class Ending(StrEnum):
    """Of a launch. Only OK is a pass; STOPPED is one where its job was meant to be stopped."""

    OK = "ok"
    VIOLATED = "violated"
    CRASHED = "crashed"
    #: the program says that it could not do its work
    ERROR = "error"
    #: another exit status than 0
    EXIT = "exit"
    TIMEOUT = "timeout"
    MEMORY = "memory"
    OUTPUT = "output"
    #: no result record, and nothing else either
    NO_RESULT = "no_result"
    #: lines that are no records instead of a result or beside it, or a result cut short
    GARBAGE = "garbage"
    NOT_STARTED = "not_started"
    STOPPED = "stopped"
    LOST = "lost"
    #: the host was broken meanwhile: whatever it did counts neither for nor against the program
    INVALID = "invalid"


#: Endings that are the tested program's own doing: the step failed.
FAILURES = frozenset(Ending) - {Ending.OK, Ending.STOPPED, Ending.LOST, Ending.INVALID}


@dataclass(frozen=True)
class Metric:
    metric: str
    value: float
    unit: str


@dataclass(frozen=True)
class Result:
    """The `result` record. ``seconds``: length of the measured window; ``ops``: in it, all threads."""

    status: str
    seconds: float
    ops: float
    violations: int
    metrics: list[Metric]
    message: str = ""


@dataclass(frozen=True)
class Launch:
    """``started`` and ``ended``: host's wall clock, seconds since the epoch; ``seconds``: from its
    first entry to its last, host's monotonic clock; ``seq``: the entry that decided."""

    step: str
    host: str
    job: str
    number: int
    ending: Ending
    reason: str
    started: float | None = None
    ended: float | None = None
    seconds: float | None = None
    exit: int | None = None
    signal: int | None = None
    seed: int | None = None
    build: str | None = None
    result: Result | None = None
    violations: int = 0
    seq: int | None = None
    #: what is odd about a launch that still counts
    warnings: list[str] = field(default_factory=list)

    @property
    def has_result(self) -> bool:
        return self.result is not None


@dataclass
class _Seen:
    """What the entries of a launch hold, gathered in one pass."""

    started: Entry | None = None
    ended: Entry | None = None
    hello: dict[str, Any] | None = None
    results: list[Entry] = field(default_factory=list)
    violations: list[Entry] = field(default_factory=list)
    #: the first word of the agent that its host is broken
    broken: Entry | None = None
    records: int = 0
    garbage: int = 0
    first_garbage: str = ""
    #: the agent's word that its journal had no room for all
    left_out: str = ""


def _gather(entries: list[Entry]) -> _Seen:
    seen = _Seen()
    for entry in entries:
        if entry.kind == "started":
            seen.started = entry
        elif entry.kind == "ended":
            seen.ended = entry
        elif entry.kind == "health":
            if entry.data.get("level") == "broken" and seen.broken is None:
                seen.broken = entry
        elif entry.kind == "output":
            if entry.data.get("stream") != "stderr":
                seen.garbage += 1
                seen.first_garbage = seen.first_garbage or str(entry.data.get("text") or "")
        elif entry.kind == "note":
            text = str(entry.data.get("text"))
            seen.left_out = text if text.endswith(LEFT_OUT) else seen.left_out
        elif entry.kind == "record":
            _gather_record(entry, seen)
    return seen


def _gather_record(entry: Entry, seen: _Seen) -> None:
    seen.records += 1
    kind = entry.data.get("type")
    if kind == "hello":
        seen.hello = entry.data
    elif kind == "result":
        seen.results.append(entry)
    elif kind == "violation":
        seen.violations.append(entry)


def classify(step: StepPlan, number: int, entries: list[Entry], faults: list[str], lost: str = "") -> Launch:
    """``faults``: what is wrong with its journal; ``lost``: the controller's reason for giving it up.
    A violation that was recorded stands, whatever happened to the rest of the journal, unless its host was broken."""
    seen = _gather(entries)
    result, misshapen = _result(seen)
    ending, reason, decided = _decide(step, seen, result, misshapen, faults, lost)
    if seen.broken is not None:
        told = f"the host is broken: {seen.broken.data.get('text')}"
        ending, reason, decided = Ending.INVALID, told, seen.broken
    end = seen.ended.data if seen.ended else {}
    begin = seen.started.data if seen.started else {}
    counted = result.violations if result else 0
    return Launch(
        step=step.id,
        host=step.host,
        job=step.job,
        number=number,
        ending=ending,
        reason=reason,
        started=entries[0].t if entries else None,
        ended=seen.ended.t if seen.ended else None,
        seconds=entries[-1].mono - entries[0].mono if entries else None,
        exit=_int(end.get("exit")),
        signal=_int(end.get("signal")),
        seed=_int(begin.get("seed")),
        build=str(seen.hello["build"]) if seen.hello and seen.hello.get("build") else None,
        result=result,
        violations=max(counted, len(seen.violations)),
        seq=decided.seq if decided else None,
        warnings=_warnings(ending, seen),
    )


def _result(seen: _Seen) -> tuple[Result | None, str]:
    """The result, or what is wrong with it."""
    if not seen.results:
        return None, ""
    try:
        result = decode(Result, seen.results[-1].data, "result")
    except WireError as e:
        return None, str(e)
    names = [m.metric for m in result.metrics]
    if len(set(names)) != len(names):
        return None, "result.metrics: a metric is there twice"
    if not all(math.isfinite(x) for x in (result.seconds, result.ops, *(m.value for m in result.metrics))):
        return None, "result: a number is not finite"
    if result.status not in ("ok", "violated", "stopped", "error"):
        return None, f"result.status: unknown {result.status!r}"
    return result, ""


_KILLED = {
    "timeout": (Ending.TIMEOUT, "did not end within its time limit and was killed"),
    "memory": (Ending.MEMORY, "used more memory than its limit and was killed"),
    "output": (Ending.OUTPUT, "flooded its output and was killed"),
}


def _decide(
    step: StepPlan, seen: _Seen, result: Result | None, misshapen: str, faults: list[str], lost: str
) -> tuple[Ending, str, Entry | None]:
    if seen.violations or (result and (result.status == "violated" or result.violations)):
        return Ending.VIOLATED, _violation_text(seen, result), (seen.violations or seen.results)[0]
    if lost:
        return Ending.LOST, lost, seen.ended
    if faults:
        return Ending.LOST, faults[0], seen.ended
    if seen.ended is None:
        return Ending.LOST, "its journal stops before its end", None
    how = str(seen.ended.data.get("reason"))
    if how == "start_failed":
        return Ending.NOT_STARTED, _with_message("could not be started", seen.ended), seen.ended
    if seen.started is None:
        return Ending.LOST, "its journal has no beginning", seen.ended
    if how in _KILLED:
        return *_KILLED[how], seen.ended
    if how == "stopped":
        return _decide_stopped(seen.ended, result)
    if how != "exited":
        return Ending.LOST, _with_message(f"the agent gave up ({how})", seen.ended), seen.ended
    number = _int(seen.ended.data.get("signal"))
    if number:
        return Ending.CRASHED, f"killed by {signal_name(number)}", seen.ended
    if step.workload in _PLAIN_WORKLOADS and not seen.records:
        return _by_exit_status(seen.ended)
    return _decide_by_records(step, seen, seen.ended, result, misshapen)


def _decide_stopped(ended: Entry, result: Result | None) -> tuple[Ending, str, Entry]:
    number = _int(ended.data.get("signal"))
    if number and number not in (signals.SIGTERM, signals.SIGKILL):
        return Ending.CRASHED, f"killed by {signal_name(number)} while it was stopped", ended
    if result and result.status == "error":
        return Ending.ERROR, result.message or "reported an error", ended
    return Ending.STOPPED, "stopped" if result else "stopped, and gave no result", ended


def _decide_by_records(
    step: StepPlan, seen: _Seen, ended: Entry, result: Result | None, misshapen: str
) -> tuple[Ending, str, Entry]:
    code = _int(ended.data.get("exit"))
    if misshapen:
        return Ending.GARBAGE, f"its result is not one: {misshapen}", seen.results[-1]
    if ended.data.get("truncated"):
        return Ending.GARBAGE, "its last line was cut short", ended
    if result is None and (seen.garbage or _int(ended.data.get("garbage"))):
        return Ending.GARBAGE, "printed garbage instead of a result", ended
    if result is None:
        return Ending.NO_RESULT, f"ended with exit status {code} and no result", ended
    if result.status == "error":
        return Ending.ERROR, result.message or "reported an error", seen.results[-1]
    if seen.garbage and step.workload not in _PLAIN_WORKLOADS:
        # a harness prints records only: what wrote over its output may have written over its figures
        return Ending.GARBAGE, f"{_beside(seen)}: first {seen.first_garbage[:60]!r}", ended
    if seen.hello is None:
        return Ending.GARBAGE, "gave a result without saying hello", ended
    if seen.hello.get("protocol") != PROTOCOL:
        return Ending.GARBAGE, f"speaks protocol {seen.hello.get('protocol')!r}, not {PROTOCOL}", ended
    if result.status == "stopped":
        return Ending.ERROR, "was told to stop by someone else", seen.results[-1]
    if code != 0:
        return Ending.EXIT, f"gave a result and yet ended with exit status {code}", ended
    return Ending.OK, "ok", ended


def _by_exit_status(ended: Entry) -> tuple[Ending, str, Entry]:
    code = _int(ended.data.get("exit"))
    if code == 0:
        return Ending.OK, "ok", ended
    return Ending.EXIT, f"ended with exit status {code}", ended


def _violation_text(seen: _Seen, result: Result | None) -> str:
    if seen.violations:
        first = seen.violations[0].data
        more = max(len(seen.violations), result.violations if result else 0) - 1
        text = f"violated {first.get('contract', '?')}: {first.get('evidence', 'no evidence given')}"
        return f"{text} (and {more} more)" if more else text
    return f"violated: {result.violations if result else 0} violation(s) counted, none described"


def _warnings(ending: Ending, seen: _Seen) -> list[str]:
    said = [f"{seen.left_out}: limits: {{journal: …}} of the job gives it more room"] if seen.left_out else []
    if ending is Ending.OK and seen.records and seen.garbage:
        return [*said, _beside(seen)]
    if ending is Ending.OK and len(seen.results) > 1:
        return [*said, f"printed {len(seen.results)} results; the last one counts"]
    return said


def _beside(seen: _Seen) -> str:
    counted = _int(seen.ended.data.get("garbage")) if seen.ended else None
    return f"printed {counted or seen.garbage} line(s) that are no records beside its result"


def _with_message(text: str, entry: Entry) -> str:
    for key in ("message", "error", "text"):
        if entry.data.get(key):
            return f"{text}: {entry.data[key]}"
    return text


def signal_name(number: int) -> str:
    try:
        return f"signal {number} ({signals.Signals(number).name})"
    except ValueError:
        return f"signal {number}"


def _int(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
