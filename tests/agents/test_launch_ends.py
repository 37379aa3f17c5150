"""However a workload behaves, its journal ends with one `ended` that says what happened."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from agents.wire import Entry
from tests.agents.conftest import Host, wait_for

HELLO = "import sys,time,os,signal\nsay=lambda t: (sys.stdout.write(t+chr(10)),sys.stdout.flush())\n"


def end(entries: list[Entry]) -> dict[str, Any]:
    return entries[-1].data


def data_of(entries: list[Entry], kind: str) -> list[dict[str, Any]]:
    return [e.data for e in entries if e.kind == kind]


def notes(entries: list[Entry]) -> str:
    return " | ".join(str(d["text"]) for d in data_of(entries, "note"))


def test_a_quiet_command_ends_with_its_exit_status(host: Host) -> None:
    entries = host.run(host.order("sh", "-c", "exit 3"))
    assert [e.kind for e in entries] == ["started", "evidence", "ended"]
    assert (end(entries)["reason"], end(entries)["exit"], end(entries)["signal"]) == ("exited", 3, None)


def test_started_holds_what_was_ordered(host: Host) -> None:
    order = host.order("true", cpus=[0], seed=99)
    started = host.run(order)[0].data
    assert started["argv"] == ["true"]
    assert (started["run"], started["host"], started["job"]) == (order.run, order.host, order.job)
    assert (started["step"], started["launch"], started["workload"]) == (order.step, 0, "command")
    assert (started["seed"], started["cpus"], started["mem"], started["protocol"]) == (99, [0], "local", 1)
    assert started["pid"] > 1


def test_records_are_told_from_garbage(host: Host) -> None:
    lines = [
        '{"type":"hello","protocol":1}',
        "no record",
        '{"type":1}',
        '{"no":"type"}',
        '["type"]',
        '{"type":"counter","value":NaN}',
        '{"type":"counter","value":-Infinity}',
        '{"type":"counter","value":1e999}',
        '{"type":"counter","value":' + "9" * 5000 + "}",
        '{"type":"deep","x":' + "[" * 5000 + "]" * 5000 + "}",
        '{"type":"later","of":["a newer harness"]}',
        '{"type":"result","status":"ok"}',
    ]
    entries = host.run(
        host.harness_order(f"{HELLO}for t in {lines!r}: say(t)\nprint('to stderr', file=sys.stderr)")
    )
    assert [d["type"] for d in data_of(entries, "record")] == ["hello", "later", "result"]
    assert end(entries)["records"] == 3
    assert end(entries)["garbage"] == len(lines) - 3
    outputs = data_of(entries, "output")
    assert [d["text"] for d in outputs if d["stream"] == "stderr"] == ["to stderr"]
    assert max(len(d["text"]) for d in outputs) == 4096


def test_a_command_may_print_what_it_likes(host: Host) -> None:
    entries = host.run(host.order("printf", 'text\n{"type":"counter","value":1}\nno newline at the end'))
    assert [d["text"] for d in data_of(entries, "output")] == ["text", "no newline at the end"]
    assert (end(entries)["records"], end(entries)["garbage"]) == (1, 0)


def test_a_last_line_without_newline_is_truncated_and_never_a_record(host: Host) -> None:
    code = HELLO + """say('{"type":"hello"}'); sys.stdout.write('{"type":"result","status":"ok"}')"""
    entries = host.run(host.harness_order(code))
    assert [d["type"] for d in data_of(entries, "record")] == ["hello"]
    assert data_of(entries, "output") == [{"stream": "stdout", "text": '{"type":"result","status":"ok"}'}]
    assert (end(entries)["truncated"], end(entries)["garbage"]) == (1, 0)


def test_bytes_that_are_not_utf8_are_garbage_and_kept_readable(host: Host) -> None:
    code = HELLO + 'sys.stdout.buffer.write(b\'\\xff\\xfe\\x00{\\n{"type":"\\xc3\\x28"}\\n\')'
    entries = host.run(host.harness_order(code))
    assert [d["text"] for d in data_of(entries, "output")] == ["\ufffd\ufffd\0{", '{"type":"\ufffd("}']
    assert end(entries)["garbage"] == 2


def test_a_line_longer_than_the_protocol_allows_is_one_piece_of_garbage(host: Host) -> None:
    code = HELLO + """say('{"type":"result","x":"' + 'a'*200000 + '"}'); say('{"type":"hello"}')"""
    entries = host.run(host.harness_order(code))
    assert (end(entries)["records"], end(entries)["garbage"]) == (1, 1)


def test_a_segfault_is_told_by_its_signal(host: Host) -> None:
    entries = host.run(host.python_order(HELLO + "say('before'); os.kill(os.getpid(), signal.SIGSEGV)"))
    assert (end(entries)["reason"], end(entries)["exit"], end(entries)["signal"]) == ("exited", None, 11)
    assert end(entries)["core"] == ""
    assert data_of(entries, "output")[0]["text"] == "before"


def test_a_core_dump_is_kept_where_it_is_allowed(host: Host) -> None:
    order = host.python_order(HELLO + "os.abort()", core_bytes=1 << 30)
    entries = host.run(order)
    assert end(entries)["signal"] == 6
    pattern = Path("/proc/sys/kernel/core_pattern").read_text().strip()
    if "/" in pattern or "%" in pattern:  # the system takes them elsewhere
        assert "core dump" in notes(entries)
    else:
        core = Path(end(entries)["core"])
        assert core.parent == host.launch_folder(order)
        assert core.read_bytes()[:4] == b"\x7fELF"
        # every thread, or why there is nothing
        assert "backtrace: #0 " in notes(entries) or "no backtrace: " in notes(entries)


def test_a_hanging_workload_ends_at_its_wall_clock_limit(host: Host) -> None:
    entries = host.run(host.order("sleep", "600", wall_s=0.5))
    assert (end(entries)["reason"], end(entries)["signal"]) == ("timeout", 15)


def test_a_launch_that_nobody_follows_ends_when_it_has_been_alone_for_too_long(host: Host) -> None:
    order = host.order("sleep", "600")
    order = dataclasses.replace(order, limits=dataclasses.replace(order.limits, alone_s=0.5, wall_s=300.0))
    host.start(order)
    journal = host.launch_folder(order) / "journal.ndjson"
    assert wait_for(lambda: b'"ended"' in journal.read_bytes())
    entries = host.finish(order)
    assert (end(entries)["reason"], end(entries)["signal"]) == ("alone", 15)
    assert "nobody has followed this for 0.5 s" in notes(entries)


def test_a_launch_that_is_followed_is_never_alone(host: Host) -> None:
    order = host.order("sleep", "9")
    order = dataclasses.replace(order, limits=dataclasses.replace(order.limits, alone_s=240.0, wall_s=300.0))
    host.start(order)
    with subprocess.Popen(
        [*host.python, str(host.archive), "follow", "--spool", str(host.spool), *host.which(order)],
        stdout=subprocess.PIPE,
    ) as reader:
        heard = host.launch_folder(order) / "heard"
        assert wait_for(heard.exists)
        first = heard.read_text()
        assert wait_for(lambda: heard.read_text() != first), "again and again"
        assert reader.stdout is not None
        reader.stdout.read()
    assert end(host.finish(order))["reason"] == "exited"


def test_what_ignores_sigterm_is_killed_after_the_grace(host: Host) -> None:
    code = HELLO + "signal.signal(signal.SIGTERM, signal.SIG_IGN)\nsay('deaf')\ntime.sleep(600)"
    entries = host.run(host.python_order(code, wall_s=1.0))
    assert (end(entries)["reason"], end(entries)["signal"]) == ("timeout", 9)
    assert end(entries)["seconds"] >= 3.0


def test_a_flood_of_lines_is_ended(host: Host) -> None:
    order = host.order("sh", "-c", "while :; do echo flood; done", output_bytes=100_000)
    entries = host.run(order)
    assert end(entries)["reason"] == "output"
    assert len(data_of(entries, "output")) > 100
    assert len(host.journal(order)) < 102_000


def test_of_a_flood_in_one_reading_the_lines_within_the_limit_are_kept(host: Host) -> None:
    # one write of a pipe's whole room: the reader finds all of it at once
    code = "import os\nos.write(1, b'flood\\n' * 10_000)"
    entries = host.run(host.order(sys.executable, "-c", code, output_bytes=6_000))
    assert end(entries)["reason"] == "output"
    kept = [d["text"] for d in data_of(entries, "output")]
    assert len(kept) > 40
    assert set(kept) == {"flood"}


def test_of_many_lines_the_first_are_kept_and_the_report_on_stderr_too(host: Host) -> None:
    script = "i=0; while [ $i -lt 5000 ]; do echo $i; i=$((i+1)); done; echo report >&2"
    entries = host.run(host.order("sh", "-c", script))
    kept = data_of(entries, "output")
    assert [d["text"] for d in kept if d["stream"] == "stdout"] == [str(i) for i in range(2000)]
    assert [d["text"] for d in kept if d["stream"] == "stderr"] == ["report"]
    assert "more than 2000 lines on stdout" in data_of(entries, "note")[0]["text"]
    assert end(entries)["reason"] == "exited"


def test_where_the_journal_gets_too_large_intervals_go_first_and_that_is_said(host: Host) -> None:
    code = HELLO + (
        """for i in range(2000): say('{"type":"interval","t":%d,"ops":1}' % i)\n"""
        """for i in range(50): say('{"type":"counter","name":"n%d","value":1}' % i)\n"""
        """say('{"type":"result","status":"ok"}')"""
    )
    order = host.harness_order(code, output_bytes=60_000)
    entries = host.run(order)
    assert end(entries)["reason"] == "exited"
    kinds = [d["type"] for d in data_of(entries, "record")]
    assert (kinds.count("counter"), kinds[-1]) == (50, "result")
    left_out = 2000 - kinds.count("interval")
    assert 0 < left_out < 2000
    assert end(entries)["records"] == 2051, "what was printed is counted, kept or not"
    assert "from here on intervals and vital signs are left out" in notes(entries)
    assert f"{left_out} intervals and vital signs were left out" in notes(entries)
    assert len(host.journal(order)) < 60_000


def test_a_flood_after_the_time_limit_is_not_kept_either(host: Host) -> None:
    code = (
        HELLO
        + "signal.signal(signal.SIGTERM, signal.SIG_IGN)\ntime.sleep(0.8)\nwhile True: say('flood' * 100)"
    )
    order = host.python_order(code, wall_s=0.4, output_bytes=200_000)
    entries = host.run(order)
    assert (end(entries)["reason"], end(entries)["signal"]) == ("timeout", 9)
    kept = sum(len(e.data["text"]) for e in entries if e.kind == "output")
    assert kept < 200_000
    assert len(host.journal(order)) < 300_000  # evidence is there, too


def test_a_line_without_end_is_a_flood_and_takes_no_memory(host: Host) -> None:
    order = host.order("sh", "-c", "cat /dev/zero", output_bytes=50_000_000)
    entries = host.run(order)
    assert end(entries)["reason"] == "output"
    assert len(host.journal(order)) < 100_000


def test_too_much_memory_is_ended(host: Host) -> None:
    code = (
        HELLO
        + "x = bytearray(300_000_000)\nfor i in range(0, len(x), 4096): x[i] = 1\nsay('held')\ntime.sleep(600)"
    )
    entries = host.run(host.python_order(code, memory_bytes=100_000_000))
    assert end(entries)["reason"] == "memory"
    assert end(entries)["max_rss_bytes"] > 100_000_000


def test_memory_of_grandchildren_counts(host: Host) -> None:
    code = HELLO + (
        "for _ in range(3):\n"
        "  if os.fork() == 0:\n"
        "    x = bytearray(60_000_000)\n"
        "    for i in range(0, len(x), 4096): x[i] = 1\n"
        "    time.sleep(600)\n"
        "time.sleep(600)"
    )
    assert end(host.run(host.python_order(code, memory_bytes=150_000_000)))["reason"] == "memory"


def test_what_a_workload_leaves_behind_is_ended(host: Host) -> None:
    code = HELLO + (
        "if os.fork() == 0:\n  os.setsid()\n"
        "  if os.fork(): os._exit(0)\n"
        "  say(str(os.getpid())); time.sleep(600)\n"
        "time.sleep(0.5)"
    )
    entries = host.run(host.python_order(code))
    assert (end(entries)["reason"], end(entries)["exit"]) == ("exited", 0)
    assert "left behind" in notes(entries)
    assert not Path(f"/proc/{data_of(entries, 'output')[0]['text']}").exists()


def test_a_program_that_is_not_there_is_start_failed(host: Host) -> None:
    entries = host.run(host.order("/nowhere/at/all"))
    assert (end(entries)["reason"], end(entries)["exit"]) == ("start_failed", None)
    assert "/nowhere/at/all: No such file" in end(entries)["message"]


def test_a_shipped_program_that_was_changed_is_not_run_and_the_workload_is_not_blamed(host: Host) -> None:
    order = host.harness_order("print('never')")
    good = Path(order.program).read_bytes()
    blob = host.folder / hashlib.sha256(good).hexdigest()
    blob.write_bytes(good + b"#")
    blob.chmod(0o755)
    entries = host.run(dataclasses.replace(order, program=str(blob)))
    assert (end(entries)["reason"], data_of(entries, "output")) == ("error", [])
    assert "no longer what was shipped" in end(entries)["message"]


def test_a_setting_that_the_workload_cannot_take_is_start_failed(host: Host) -> None:
    entries = host.run(host.order(settings={"argv": "not a list"}))
    assert end(entries)["reason"] == "start_failed"
    assert "argv" in end(entries)["message"]


def test_a_program_without_the_right_to_run_is_start_failed(host: Host, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no program")
    entries = host.run(host.order(str(tmp_path / "text")))
    assert end(entries)["reason"] == "start_failed"
    assert "ermission denied" in end(entries)["message"]


def test_a_full_disk_ends_the_launch_and_the_journal_says_so(host: Host) -> None:
    # a file may not grow beyond 64 KiB here, which is what a full disk looks like to the journal
    def small() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))

    code = HELLO + """for _ in range(9): say('{"type":"counter","x":"' + 'a'*40000 + '"}')\ntime.sleep(600)"""
    entries = host.run(host.python_order(code), small)
    assert end(entries)["reason"] == "disk"
    assert "could not be written" in end(entries)["message"]
    assert not Path(f"/proc/{entries[0].data['pid']}").exists()


def test_last_words_are_given_the_room_that_was_kept_for_them(host: Host) -> None:
    full = (
        f"import sys; sys.path.insert(0, {str(host.archive)!r})\n"
        "import agents.main, errno, os\n"
        "write = os.write\n"
        "def full(fd, data):\n"
        "    path = os.readlink('/proc/self/fd/%d' % fd)\n"
        "    kept = os.path.dirname(path) + '/reserve'\n"
        "    if path.endswith('.ndjson') and os.path.getsize(path) and os.path.exists(kept):\n"
        "        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))\n"
        "    return write(fd, data)\n"
        "os.write = full\n"
        "sys.exit(agents.main.main(sys.argv[2:]))"
    )
    order = host.order("sh", "-c", "echo one; sleep 600")
    host.python = (sys.executable, "-I", "-c", full)
    assert host.start(order)["started"]
    entries = host.finish(order)
    assert [e.kind for e in entries] == ["started", "ended"]
    assert end(entries)["reason"] == "disk"
    assert "No space left on device" in end(entries)["message"]


def test_a_failure_of_the_agent_itself_is_told_and_leaves_nothing(host: Host) -> None:
    broken = (
        f"import sys; sys.path.insert(0, {str(host.archive)!r})\n"
        "import agents.vitals, agents.main\n"
        "def broken(source): raise ZeroDivisionError('broken sampler')\n"
        "agents.vitals.sample = broken\n"
        "sys.exit(agents.main.main(sys.argv[2:]))"
    )
    order = host.order("sleep", "600", vitals_every_s=0.2)
    host.python = (sys.executable, "-I", "-c", broken)
    assert host.start(order)["started"]
    entries = host.finish(order)
    assert end(entries)["reason"] == "error"
    assert "ZeroDivisionError: broken sampler" in end(entries)["message"]
    assert end(entries)["signal"] == 9
    assert "broken sampler" in (host.launch_folder(order) / "agent.log").read_text()


def test_vitals_are_sampled_while_it_runs(host: Host) -> None:
    for seconds in ("2", "10", "50"):  # a busy machine lets the agent sample less often, never more
        entries = host.run(host.order("sleep", seconds, vitals_every_s=0.2, cpus=[0], wall_s=200.0))
        sampled = data_of(entries, "vital")
        assert len(sampled) <= end(entries)["seconds"] / 0.2 + 2
        if len(sampled) >= 3:
            break
    assert len(sampled) >= 3
    assert {"rss", "load_1m", "cpu_busy", "context_switches", "vitals_cost"} <= set(sampled[-1])
    assert end(entries)["max_rss_bytes"] > 0


@pytest.mark.parametrize("name", ["ORCH_THREADS", "ORCH_CPUS", "ORCH_SEED", "ORCH_SECONDS", "MINE"])
def test_a_command_learns_what_was_planned(host: Host, name: str) -> None:
    order = host.order("printenv", name, threads=2, cpus=[1, 0], seed=11, seconds=2.5, env={"MINE": "own"})
    expected = {
        "ORCH_THREADS": "2",
        "ORCH_CPUS": "1,0",
        "ORCH_SEED": "11",
        "ORCH_SECONDS": "2.5",
        "MINE": "own",
    }
    assert data_of(host.run(order), "output") == [{"stream": "stdout", "text": expected[name]}]


def test_the_workload_finds_all_cpus_and_the_agent_keeps_off_the_measured_ones(host: Host) -> None:
    import os

    allowed = sorted(os.sched_getaffinity(0))
    measured = allowed[1:] or allowed
    code = (
        "import os, json, time\n"
        "parent = os.getppid()\n"
        "print(json.dumps([sorted(os.sched_getaffinity(0)), sorted(os.sched_getaffinity(parent))]))"
    )
    entries = host.run(host.python_order(code, cpus=measured))
    mine, agents_ = json.loads(data_of(entries, "output")[0]["text"])
    assert mine == allowed
    assert agents_ == (sorted(set(allowed) - set(measured)) or allowed)
