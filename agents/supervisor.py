"""Watches one launch from its start to its `ended` entry: one process, one thread, no polling.

It sleeps in `select` until the workload prints, a signal comes (a child ended, or stop is asked for) or
the next thing is due (sample, flush, limit). It keeps off the measured CPUs where it may run elsewhere.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import time
import traceback
from typing import Any, Dict, List, Optional, Set, Tuple

from agents import evidence, limits, segments, vitals
from agents import launch as launches
from agents.about import environment, started
from agents.backtrace import backtrace, elsewhere
from agents.health import Health
from agents.journal import JournalFull, Writer
from agents.launch import Launch
from agents.output import Output
from agents.tree import Tree
from agents.waiting import Signals, wait_until
from agents.wire import LEFT_OUT, Order
from agents.workloads import TABLE, BadSetting

#: How often memory is looked at where it is limited: a workload can outgrow its limit for this long.
MEMORY_EVERY_S = 0.2

#: Looking at /proc takes at most this share of one CPU: on a host with thousands of processes it is
#: done less often instead.
_MOST_DUTY = 0.02

#: After SIGKILL: how long for a process to go away before it is given up (it hangs in the kernel).
_UNKILLABLE_S = 5.0


class Supervisor:
    """One launch. `start` then `watch`; `watch` never raises and always tries to leave an `ended`."""

    def __init__(self, launch: Launch, order: Order, affinity: Set[int]) -> None:
        """``affinity``: where the agent was started, which is what the workload finds."""
        self.launch = launch
        self.order = order
        self.affinity = affinity
        self.signals = Signals()
        most = order.limits.output_bytes
        self.journal = Writer(launch.journal, order.launch, segments.segment_bytes(most))
        self.packer = segments.Packer()
        self.tree = Tree(launch.folder, order.limits.memory_bytes, self.packer.pids)
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.signals.fd, selectors.EVENT_READ)
        expects = TABLE[order.workload].EXPECTS_RECORDS
        self.output = Output(self.journal, self.selector, expects, most, self._note)
        self.child = 0
        self.program = ""
        self.status: Optional[int] = None
        self.reason: Optional[str] = None
        self.message = ""
        self.peak_rss = 0
        self.own_rss = 0
        self.began = time.monotonic()
        self.began_wall = time.time()
        #: when SIGKILL follows (again); None while nobody was told to end
        self.kill_at: Optional[float] = None
        self.give_up_at = float("inf")
        #: when to ask whether anybody still follows
        self.alone_at = float("inf")
        self.left_behind = False
        self.source: Optional[vitals.Source] = None
        self.health = Health()
        self.next_memory = self.next_vitals = float("inf")

    # ---- start

    def start(self) -> None:
        """Start the workload; the journal has its first entry afterwards, whatever came of it. Raises
        OSError only where the journal cannot be written."""
        argv: List[str] = []
        error = ""
        try:
            argv = TABLE[self.order.workload].argv(self.order)
            if launches.is_damaged(self.order.program):
                self.reason = "error"
                raise ValueError("is no longer what was shipped; the next run ships it again")
            wait_until(self.order.start_at)
            self._spawn(argv)
        except BadSetting as e:
            error = str(e)
        except (OSError, ValueError, subprocess.SubprocessError) as e:
            error = "%s: %s" % (argv[0] if argv else "?", getattr(e, "strerror", None) or e)
        about = started(self.order, argv, self.child, self.tree.held)
        self.journal.add("started", about, self.began_wall, self.began)
        if error:
            self.reason, self.message = self.reason or "start_failed", error
        self.journal.flush()
        self.journal.sync()

    def _spawn(self, argv: List[str]) -> None:
        self.began, self.began_wall = time.monotonic(), time.time()
        child = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=str(self.launch.folder),
            env=environment(self.launch, self.order),
            start_new_session=True,
            # safe: this process has one thread
            preexec_fn=limits.before_exec(self.order.limits.core_bytes, self.affinity, self.tree.enter),  # noqa: PLW1509 - one thread only
            bufsize=0,
        )
        self.program = argv[0]
        # it is waited for with wait4, together with whatever it leaves behind
        child.returncode = 0
        self.child = child.pid
        self.tree.entered(child.pid)
        assert child.stdout is not None
        assert child.stderr is not None
        # the file objects would close the descriptors; duplicates are ours
        for name, pipe in (("stdout", child.stdout), ("stderr", child.stderr)):
            self.output.attach(name, os.dup(pipe.fileno()))
            pipe.close()
        every = self.order.vitals_every_s
        self.source = vitals.Source(self.child, self.order.cpus)
        if self.order.limits.memory_bytes is not None:
            self.next_memory = self.began
        if every > 0:
            self.next_vitals = self.began
        if self.order.limits.alone_s is not None:
            self.alone_at = self.began + self.order.limits.alone_s
        self.own_rss = limits.rss_bytes([os.getpid()])

    # ---- watch

    def watch(self) -> None:
        try:
            if self.child:
                if self.launch.stop_file.exists():
                    self._asked_to_stop()
                while not self._turn():
                    pass
            self._end()
        except JournalFull as e:
            self._last_words("disk", "the journal could not be written: %s" % (e.strerror or e))
        except Exception as e:  # noqa: BLE001 - whatever it is, the workload must not outlive it unseen
            traceback.print_exc()
            self._last_words("error", "the agent itself failed: %s: %s" % (type(e).__name__, e))

    def _turn(self) -> bool:
        """Wait, then do what is due. True once the workload and all it started are gone."""
        for key, _ in self.selector.select(self._wait_s()):
            if key.data is None:
                self._on_signals(self.signals.take())
            else:
                self.output.read(key.data)
        if self.output.flooded:
            self._begin_end("output")
        now = time.monotonic()
        self._check_limits(now)
        self._sample(now)
        over = self._tree_is_gone(now)
        self.journal.flush()
        self._pack()
        if self.output.is_urgent or self.journal.sync_due(now) == 0.0:
            self.output.is_urgent = False
            self.journal.sync()
        return over

    def _wait_s(self) -> float:
        now = time.monotonic()
        due = min(self.next_memory, self.next_vitals, self.give_up_at)
        if self.reason is None and self.status is None:
            due = min(due, self.alone_at)
        if self.kill_at is None:
            due = min(due, self.began + self.order.limits.wall_s)
        else:
            due = min(due, self.kill_at)
        sync = self.journal.sync_due(now)
        return max(0.0, min(due - now, 60.0 if sync is None else sync))

    def _on_signals(self, numbers: bytes) -> None:
        if signal.SIGCHLD in numbers:
            self._reaped(limits.reap())
        if any(n in numbers for n in Signals.STOPS):
            self._asked_to_stop()

    def _pack(self) -> None:
        self.packer.waiting += self.journal.closed
        self.journal.closed.clear()
        self.packer.turn()

    def _reaped(self, ended: "Dict[int, Tuple[int, int]]") -> None:
        self.packer.reaped(ended)
        if self.child in ended:
            self.status, peak = ended[self.child]
            # the kernel's figure holds what was inherited from us before exec: it tells nothing below that
            if peak > self.own_rss:
                self.peak_rss = max(self.peak_rss, peak)

    def _asked_to_stop(self) -> None:
        if self.reason is None and self.status is None:
            self._note("stop requested")
            self._begin_end("stopped")

    # ---- limits

    def _check_limits(self, now: float) -> None:
        if self.reason is None and self.status is None and now - self.began >= self.order.limits.wall_s:
            self._note("still running after %g s" % self.order.limits.wall_s)
            self._begin_end("timeout")
        if self.reason is None and self.status is None and now >= self.alone_at:
            self._look_for_company(now)
        if self.kill_at is not None and now >= self.kill_at:
            self.tree.kill()
            self.kill_at = now + 0.25
            if self.give_up_at == float("inf"):
                self.give_up_at = now + _UNKILLABLE_S

    def _look_for_company(self, now: float) -> None:
        longest = self.order.limits.alone_s
        assert longest is not None
        self.alone_at = max(self.began, self.launch.heard()) + longest
        if now >= self.alone_at:
            self._note("nobody has followed this for %g s" % longest)
            self._begin_end("alone")

    def _begin_end(self, reason: str) -> None:
        """SIGTERM for all of it now, SIGKILL for what is left after the grace."""
        if self.reason is None and reason != "stopped":
            self._keep(evidence.of_processes(self.tree.processes()))
        self.reason = self.reason or reason
        self._terminate()

    def _terminate(self) -> None:
        if self.kill_at is None:
            self.tree.terminate()
            self.kill_at = time.monotonic() + limits.GRACE_S

    def _sample(self, now: float) -> None:
        if now < self.next_memory and now < self.next_vitals:
            return
        if self.source is None or self.status is not None:
            self.next_memory = self.next_vitals = float("inf")
            return
        begin = time.monotonic()
        rss = limits.rss_bytes(p.pid for p in self.tree.processes())
        self.peak_rss = max(self.peak_rss, rss)
        cap = self.order.limits.memory_bytes
        if cap is not None and rss > cap and self.reason is None:
            self._note("%d bytes resident, limit %d" % (rss, cap))
            self._begin_end("memory")
        if now >= self.next_vitals:
            self.source.rss = rss
            self.output.vital(vitals.sample(self.source))
            self._look()
        pause = (time.monotonic() - begin) / _MOST_DUTY
        if now >= self.next_vitals:
            self.next_vitals = now + max(self.order.vitals_every_s, pause)
        if cap is not None:
            self.next_memory = now + max(MEMORY_EVERY_S, pause)

    def _look(self) -> None:
        """Is the host still sound? What says that it is not must survive whatever comes next."""
        found = self.health.look()
        for event in found:
            self.journal.add("health", event)
        if any(event["level"] == "broken" for event in found):
            self.journal.flush()
            self.journal.sync()

    # ---- the end

    def _tree_is_gone(self, now: float) -> bool:
        if self.status is None:
            return self._give_up(now)
        left = self.tree.processes()
        if left:
            if not self.left_behind and self.kill_at is None:
                self._note("%d process(es) left behind are ended" % len(left))
            self.left_behind = True
            self._terminate()
            return self._give_up(now)
        self.output.drain()
        return True

    def _give_up(self, now: float) -> bool:
        if now < self.give_up_at:
            return False
        self._note("a process does not end even after SIGKILL")
        self.output.drain()
        return True

    def _end(self) -> None:
        self.packer.close()
        limits.reap()
        if self.tree.ran_out():
            if self.reason is None:
                self.reason = "memory"
            self._note("the kernel ended it at its limit of %s bytes" % self.order.limits.memory_bytes)
        self._look()
        self.health.close()
        if self.output.flooded:
            self.reason = self.reason or "output"
        if self.reason is None and self.output.failed and not self.output.violated:
            self._blame_the_disk()
        self._keep_evidence()
        if self.output.left_out:
            self._note("%d intervals and vital signs %s" % (self.output.left_out, LEFT_OUT))
        self.journal.add("ended", self._ended())
        self.journal.flush()
        self.tree.close()
        self.journal.release_reserve()
        # `ended` is there: what goes wrong now must not write another
        with contextlib.suppress(OSError):
            self.journal.sync()
            self.journal.close()

    def _blame_the_disk(self) -> None:
        """What could not write down its results says nothing of what ran. Looked at as soon as it has ended: room comes back."""
        if not limits.has_room(self.launch.folder):
            self.reason, self.message = "disk", "no room for what it writes: No space left on device"

    def _keep(self, found: evidence.Piece) -> None:
        self.journal.add("evidence", evidence.piece(*found))

    def _keep_evidence(self) -> None:
        """Of a launch that went wrong. Not where the journal itself is in trouble."""
        code, number = _exit_and_signal(self.status)
        wrong = code or number or self.output.violated or self.reason is not None
        if not wrong or self.reason in ("stopped", "disk", "error"):
            return
        self._keep(evidence.of_host())
        if self.health.kernel_lines:
            self._keep(("kernel", list(self.health.kernel_lines)))
        for found in evidence.of_files(self.launch.folder):
            self._keep(found)

    def _ended(self) -> Dict[str, Any]:
        code, number = _exit_and_signal(self.status)
        core = ""
        if self.reason not in ("disk", "error") and self.status is not None and os.WCOREDUMP(self.status):
            core = limits.find_core(self.child, self.launch.folder, self.began_wall)
            self._note("core dump: %s" % (core or elsewhere()))
            for line in backtrace(self.program, core) if core else ():
                self._note("backtrace: %s" % line)
        return {
            "reason": self.reason or "exited",
            "exit": code,
            "signal": number,
            "seconds": round(time.monotonic() - self.began, 6),
            "records": self.output.records,
            "garbage": self.output.garbage,
            "truncated": self.output.truncated,
            "max_rss_bytes": self.peak_rss,
            "core": core,
            "message": self.message[:1000],
        }

    def _note(self, text: str) -> None:
        self.journal.add("note", {"text": text})

    def _last_words(self, reason: str, message: str) -> None:
        """The agent cannot go on: nothing of the workload survives, and the journal says so if at all
        possible."""
        left, ended = limits.kill_below(os.getpid())
        self._reaped(ended)
        self.journal.release_reserve()
        self.reason, self.message = reason, message
        for attempt in range(20):
            try:
                if left:
                    self._note("a process does not end even after SIGKILL")
                self._end()
                break
            except OSError:
                # others may still be filling the disk that we have just made room on
                if attempt == 19:
                    traceback.print_exc()
                time.sleep(0.1)


def _exit_and_signal(status: Optional[int]) -> Tuple[Optional[int], Optional[int]]:
    if status is None:
        return None, None
    if os.WIFSIGNALED(status):
        return None, os.WTERMSIG(status)
    return os.WEXITSTATUS(status), None
