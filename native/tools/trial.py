"""One trial: a program with a fault in it, one detector, one seed. The scenarios or benches take turns until one fails or the budget is spent.

What fails has found the fault: a violation, a sanitizer's report, a crash, a history that cannot have happened, a run that does not end. The last is
one that after its window takes by far more CPU than the sources as they are do (`Ground.late_s`), or sleeps with all threads, and not one that
waits for a CPU: a machine may be busy, or stand still for a while.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from check_mutants import Unusable

#: Of the first turn of a bench, and of a scenario, seconds; each further turn is twice as long, but of histories: one records as many windows however
#: long it is, if it gets its CPUs, and needs some time to do so where it does not.
FIRST_TURN_S = 0.25
HISTORY_S = 0.5
FIRST_SCENARIO_S = 0.06
LONGEST_TURN_S = 4.0
#: CPU seconds beyond its window, of a run that hangs: so long, and so many times what the sources as they are took.
PATIENCE_S = 4.0
PATIENCE_TIMES = 8
#: At most, and where that is not known yet.
MOST_PATIENCE_S = 25.0
LOOK_S = 0.05
#: After its window, of a run that is neither through nor hangs as far as can be told: it counts as hanging all the same.
LONGEST_S = 150.0
REPLAY_S = 60


@dataclass(frozen=True)
class Detector:
    """``budget_s``: of one trial. ``words``: further ones for the program. ``histories``: it runs a subject's histories, and
    what they recorded is judged."""

    name: str
    variant: str
    threads: int
    budget_s: float
    words: Sequence[str] = ()
    histories: bool = False

    @property
    def explores(self) -> bool:
        return self.variant == "explore"

    @property
    def first_turn_s(self) -> float:
        return FIRST_SCENARIO_S if self.explores else HISTORY_S if self.histories else FIRST_TURN_S


@dataclass(frozen=True)
class Work:
    """One run: a scenario, or a bench with its settings."""

    bench: str
    settings: tuple[tuple[str, Any], ...] = ()

    def __str__(self) -> str:
        return " ".join([self.bench, *(f"{key}={value}" for key, value in self.settings)])


@dataclass
class Ran:
    passed: bool
    #: up to the report where there is one; CPU seconds of the explorer
    seconds: float
    executions: float
    report: str = ""
    token: str = ""
    #: times that threads change in the run as it is shown; None where no explorer found it
    switches: int | None = None
    #: CPU seconds after its window
    late_s: float = 0.0


Judge = subprocess.Popen[str]


@dataclass
class Ground:
    """What every trial stands on. ``judge``: a command that reads paths of files of records and answers each with a line, ``{"wrong"}``,
    what is wrong with their histories, or "". ``late_s``: CPU seconds that the sources as they are took after their window."""

    judge: Sequence[str] = ()
    late_s: dict[tuple[str, Work], float] = field(default_factory=dict)
    #: judges that have nothing to do; appended to and popped from by all threads
    _idle: list[Judge] = field(default_factory=list)

    def patience_s(self, detector: Detector, work: Work) -> float:
        late = self.late_s.get((detector.name, work))
        return MOST_PATIENCE_S if late is None else min(MOST_PATIENCE_S, PATIENCE_S + PATIENCE_TIMES * late)

    def wrong_in(self, path: str) -> str:
        """What is wrong with the recorded calls; "": nothing. By a judge that is idle, or a new one. Raises Unusable where it is gone."""
        try:
            judge = self._idle.pop()
        except IndexError:
            judge = Judge(list(self.judge), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if judge.stdin is None or judge.stdout is None:
            raise AssertionError("pipes were asked for")
        try:
            judge.stdin.write(f"{path}\n")
            judge.stdin.flush()
            wrong = str(json.loads(judge.stdout.readline())["wrong"])[:300]
        except (OSError, ValueError) as e:
            judge.kill()
            judge.wait()
            raise Unusable(f"a history cannot be judged: {' '.join(self.judge)} is gone") from e
        self._idle.append(judge)
        return wrong


def look_for(program: Path, detector: Detector, works: Sequence[Work], ground: Ground, seed: int) -> Ran:
    """All of the works in turns, until one fails or the budget is spent: of the explorer, which runs alone, in CPU seconds, as far as it
    gets them."""
    total = Ran(True, 0.0, 0.0)
    if detector.histories:  # a judge takes seconds to start, which are not those of the trial
        ground.wrong_in(os.devnull)
    turn, number = detector.first_turn_s, 0
    gives_up = time.monotonic() + PATIENCE_TIMES * detector.budget_s
    while total.seconds < detector.budget_s and time.monotonic() < gives_up:
        for work in works:
            number += 1
            left = min(turn, max(detector.budget_s - total.seconds, detector.first_turn_s))
            own_seed = seed * 1_000_000_007 + number * 1_000_003
            ran = run_once(program, detector, work, left, own_seed, ground)
            ran.seconds += total.seconds
            ran.executions += total.executions
            total = ran
            if not ran.passed or ran.seconds >= detector.budget_s:
                return total
        if not detector.histories:
            turn = min(turn * 2, LONGEST_TURN_S)
    return total


def run_once(program: Path, detector: Detector, work: Work, seconds: float, seed: int, ground: Ground) -> Ran:
    """Raises Unusable where the program refuses its words, or where a history cannot be judged."""
    words = ["run", work.bench, "--threads", str(detector.threads), "--seconds", f"{seconds:g}"]
    words += ["--warmup", "0", "--interval", "0", "--seed", str(seed), *detector.words]
    for key, value in work.settings:
        words += ["--set", f"{key}={value}"]
    environment = {**os.environ, "TSAN_OPTIONS": "halt_on_error=1", "ASAN_OPTIONS": "abort_on_error=0"}
    with tempfile.NamedTemporaryFile("w+") as out, tempfile.TemporaryFile("w+", errors="replace") as err:
        started = time.monotonic()
        process = Watched([str(program), *words], stdout=out, stderr=err, env=environment)
        hangs, late = watch(process, seconds, ground.patience_s(detector, work))
        code = process.wait()
        took = process.cpu_s if detector.explores else time.monotonic() - started
        out.seek(0)
        err.seek(0)
        ran = judge(work, code, hangs, took, out.read(), err.read())
        if ran.passed and detector.histories:
            ran.report = ground.wrong_in(out.name)
            ran.passed = not ran.report
            ran.seconds = time.monotonic() - started
        ran.late_s = late
        return ran


class Watched(subprocess.Popen[bytes]):
    """``cpu_s``: CPU seconds that it took, once it has ended."""

    cpu_s = 0.0

    def poll(self) -> int | None:
        if self.returncode is None:
            pid, status, usage = os.wait4(self.pid, os.WNOHANG)
            self._ended(pid, status, usage)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:  # noqa: ARG002 - as Popen has it; nobody waits with one
        if self.returncode is None:
            self._ended(*os.wait4(self.pid, 0))
        return int(self.returncode)

    def _ended(self, pid: int, status: int, usage: resource.struct_rusage) -> None:
        if pid != 0:
            self.returncode = os.waitstatus_to_exitcode(status)
            self.cpu_s = usage.ru_utime + usage.ru_stime


def watch(process: Watched, window_s: float, patience_s: float) -> tuple[bool, float]:
    """Whether it hangs, and the CPU seconds that it took after its window. Who hangs spins, and has had a CPU for that long, or sleeps with all threads
    for that long; who waits for a CPU on a busy machine does neither. Ended in any case."""
    spent = asleep = late = before = 0.0
    begun: float | None = None
    try:
        while process.poll() is None and spent < window_s + LONGEST_S:
            look = LOOK_S / 5 if spent < 1 else LOOK_S
            time.sleep(look)
            spent += look
            if spent < window_s:
                continue
            used = cpu_s(process.pid)
            begun = used if begun is None else begun
            late = max(late, used - begun)
            asleep = asleep + look if used == before and all_asleep(process.pid) else 0.0
            before = used
            if late >= patience_s or asleep >= patience_s:
                return process.poll() is None, late
        return process.poll() is None, late
    finally:
        if process.poll() is None:
            process.kill()


def fields_of(path: str) -> list[str]:
    """Of a process or thread, from its state on; none where it has ended."""
    try:
        return Path(path).read_text().rpartition(")")[2].split()
    except OSError:
        return []


def cpu_s(pid: int) -> float:
    """All of its threads, those that have ended too."""
    fields = fields_of(f"/proc/{pid}/stat")
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK") if len(fields) > 12 else 0.0


def all_asleep(pid: int) -> bool:
    try:
        threads = list(Path(f"/proc/{pid}/task").iterdir())
    except OSError:
        return False
    return all(fields_of(f"{thread}/stat")[:1] == ["S"] for thread in threads)


def judge(work: Work, code: int, hangs: bool, took: float, out: str, err: str) -> Ran:
    """How one run ended, from its records and its exit status."""
    records = list(records_of(out))
    results = [r for r in records if r.get("type") == "result"]
    executions = float(results[-1].get("ops", 0)) if results else 0.0
    if hangs:
        return Ran(False, took, executions, "hangs")
    if code == 0:
        return Ran(True, took, executions)
    if code == 2:
        raise Unusable(f"{work.bench}: {err.strip().splitlines()[-1] if err.strip() else 'is refused'}")
    violations = [r for r in records if r.get("type") == "violation"]
    if violations:
        first = violations[0]
        report = str(first.get("evidence", ""))
        # what it took to make it small is not the time to find it
        found = min(took, float(first.get("t", took)))
        return Ran(False, found, executions, report[:300], str(first.get("token", "")), first.get("switches"))
    if results and results[-1].get("status") == "error":
        return Ran(False, took, executions, f"error: {results[-1].get('message')}"[:300])
    return Ran(False, took, executions, report_in(err) or f"exit status {code}")


def report_in(err: str) -> str:
    """The line that says what is wrong, of a sanitizer where it is one; else the first; "": there is none."""
    lines = [line.strip() for line in err.splitlines() if line.strip()]
    told = [line for line in lines if "Sanitizer" in line or "runtime error" in line]
    return next(iter([*told, *lines]), "")[:300]


def records_of(text: str) -> Iterator[dict[str, Any]]:
    for line in text.splitlines():
        try:
            value = json.loads(line)
        except ValueError:
            continue
        if isinstance(value, dict):
            yield value


def replays(program: Path, token: str) -> bool:
    """Whether what the explorer found is found again from its token."""
    command = [str(program), "replay", token]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=REPLAY_S, check=False)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 1 and '"type":"violation"' in done.stdout
