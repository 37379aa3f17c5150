"""What the kernel's log and counters say of a host's health, and what of it makes a host broken."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from agents.health import Health
from agents.kernel_log import INSTEAD, PATTERNS, KernelLog, judge

if TYPE_CHECKING:
    from tests.agents.conftest import Host

# lines as kernels write them
LINES = [
    ("panic", "broken", "Kernel panic - not syncing: Fatal exception"),
    ("oops", "broken", "BUG: unable to handle page fault for address: ffffffffc0a0b0c0"),
    ("oops", "broken", "BUG: kernel NULL pointer dereference, address: 0000000000000008"),
    ("oops", "broken", "Oops: 0002 [#1] PREEMPT SMP NOPTI"),
    ("oops", "broken", "Internal error: Oops: 96000004 [#1] SMP"),
    ("oops", "broken", "kernel BUG at mm/slub.c:4023!"),
    (
        "oops",
        "broken",
        "general protection fault, probably for non-canonical address 0xdead000000000108: 0000",
    ),
    ("oops", "broken", "divide error: 0000 [#1] PREEMPT SMP NOPTI"),
    ("oops", "broken", "invalid opcode: 0000 [#2] SMP PTI"),
    ("oops", "broken", "Internal error: synchronous external abort: 0000000096000210 [#1] SMP"),
    ("warning", "suspect", "WARNING: CPU: 3 PID: 42 at kernel/rcu/tree.c:2613 rcu_core+0x27e/0x7a0"),
    ("warning", "suspect", "WARNING: possible circular locking dependency detected"),
    ("warning", "suspect", "WARNING: suspicious RCU usage"),
    ("warning", "suspect", "UBSAN: array-index-out-of-bounds in drivers/net/x.c:12:3"),
    ("hard_lockup", "broken", "NMI watchdog: Watchdog detected hard LOCKUP on cpu 3"),
    ("soft_lockup", "stalled", "watchdog: BUG: soft lockup - CPU#1 stuck for 26s! [churn:4242]"),
    ("rcu_stall", "stalled", "rcu: INFO: rcu_preempt self-detected stall on CPU"),
    ("rcu_stall", "stalled", "rcu: INFO: rcu_sched detected stalls on CPUs/tasks:"),
    ("hung_task", "stalled", "INFO: task kworker/u8:1:17 blocked for more than 120 seconds."),
    ("out_of_memory", "suspect", "Out of memory: Killed process 4242 (churn) total-vm:1kB"),
    ("out_of_memory", "suspect", "churn invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0"),
    ("machine_check", "broken", "mce: [Hardware Error]: CPU 2: Uncorrected error, software restartable"),
    ("machine_check", "suspect", "mce: [Hardware Error]: Machine check events logged"),
    ("memory_error", "broken", "EDAC MC0: 1 UE memory read error on CPU_SrcID#0"),
    ("memory_corrected", "suspect", "EDAC MC0: 1 CE memory read error on CPU_SrcID#0"),
    ("read_only_disk", "broken", "EXT4-fs (vda1): Remounting filesystem read-only"),
    ("disk_error", "suspect", "I/O error, dev vda, sector 2048 op 0x0:(READ)"),
    (
        "throttled",
        "suspect",
        "CPU3: Core temperature above threshold, cpu clock throttled (total events = 1)",
    ),
    (
        "clock_source",
        "suspect",
        "clocksource: timekeeping watchdog on CPU0: Marking clocksource 'tsc' as unstable",
    ),
]
#: What a kernel says of programs and devices that do what they do.
HARMLESS = [
    "churn[4242]: segfault at 0 ip 00005581 sp 00007ffc error 4 in churn[5581+1000]",
    "traps: churn[4242] general protection fault ip:401136 sp:7ffc0 error:0 in churn[401000+1000]",
    "traps: churn[4242] trap invalid opcode ip:401136 sp:7ffc0 error:0 in churn[401000+1000]",
    "WARNING: Spectre v2 mitigation leaves CPU vulnerable to RETBleed attacks, data leaks possible!",
    "br0: port 1(v1) entered disabled state",
    "EXT4-fs (vda1): mounted filesystem with ordered data mode. Quota mode: none.",
    "rcu: Hierarchical RCU implementation.",
    "mce: CPU supports 32 MCE banks",
    "EDAC MC: Ver: 3.0.0",
    "clocksource: Switched to clocksource tsc",
    "perf: interrupt took too long (2513 > 2500), lowering kernel.perf_event_max_sample_rate",
]


@pytest.mark.parametrize(("what", "level", "text"), LINES, ids=lambda x: str(x)[:30])
def test_a_line_of_trouble_is_known_for_what_it_is(what: str, level: str, text: str) -> None:
    told = judge(text)
    assert told is not None
    assert (told.what, told.level) == (what, level)


@pytest.mark.parametrize("text", HARMLESS, ids=lambda x: x[:30])
def test_what_programs_do_says_nothing_of_the_host(text: str) -> None:
    assert judge(text) is None


def test_every_kind_has_a_line_that_shows_it() -> None:
    assert {what for what, _, _ in PATTERNS} == {what for what, _, _ in LINES}


def kernel_says(log: Path, *texts: str, priority: int = 4) -> None:
    with log.open("a") as f:
        f.writelines(f"{priority},17,4242,-;{text}\n" for text in texts)


def test_only_what_is_new_and_of_the_kernel_itself_counts(tmp_path: Path) -> None:
    path = tmp_path / "kmsg"
    kernel_says(path, "Oops: 0001 [#1] long ago")
    log = KernelLog(str(path))
    assert log.readable
    kernel_says(path, "Oops: a process wrote this", priority=12)
    kernel_says(path, "Oops: 0002 [#1]")
    assert log.lines() == ["Oops: 0002 [#1]"]
    assert log.lines() == []
    log.close()


def test_the_kernels_own_log_is_read_where_it_may_be() -> None:
    log = KernelLog("/dev/kmsg")
    assert log.readable == os.access("/dev/kmsg", os.R_OK)
    assert all(isinstance(line, str) for line in log.lines())
    log.close()
    assert KernelLog("/nonexistent").lines() == []


def machine(top: Path, *, flags: str = "") -> Path:
    for path, text in {
        "proc/cpuinfo": f"processor: 0\nflags\t: fpu {flags}\n",
        "proc/sys/kernel/tainted": "0\n",
        "proc/interrupts": "  CPU0 CPU1\nMCE: 0 0 Machine check exceptions\nTRM: 1 2 Thermal event interrupts\n",
        "sys/devices/system/edac/mc/mc0/ce_count": "3\n",
        "sys/devices/system/edac/mc/mc0/ue_count": "0\n",
        "sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count": "7\n",
        "dev/kmsg": "",
    }.items():
        file = top / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return top


def found(health: Health) -> list[tuple[str, str]]:
    return [(event["level"], event["what"]) for event in health.look()]


def test_counters_that_grow_and_new_taints_are_told_once(tmp_path: Path) -> None:
    top = machine(tmp_path)
    health = Health(str(top))
    assert found(health) == []
    (top / "sys/devices/system/edac/mc/mc0/ce_count").write_text("5\n")
    (top / "sys/devices/system/edac/mc/mc0/ue_count").write_text("1\n")
    (top / "sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count").write_text("8\n")
    (top / "proc/sys/kernel/tainted").write_text(f"{1 << 7 | 1 << 12}\n")
    assert found(health) == [
        ("broken", "oops"),
        ("broken", "memory_error"),
        ("suspect", "memory_corrected"),
        ("suspect", "throttled"),
    ]
    assert found(health) == []


def test_a_stall_breaks_a_machine_and_makes_a_virtual_one_suspect(tmp_path: Path) -> None:
    for flags, level in (("", "broken"), ("hypervisor", "suspect")):
        top = machine(tmp_path / level, flags=flags)
        health = Health(str(top))
        kernel_says(top / "dev/kmsg", "watchdog: BUG: soft lockup - CPU#1 stuck for 26s! [churn:4242]")
        assert found(health) == [(level, "soft_lockup")]


def test_of_one_kind_a_few_are_told(tmp_path: Path) -> None:
    top = machine(tmp_path)
    health = Health(str(top))
    kernel_says(top / "dev/kmsg", *["Out of memory: Killed process 1 (a)"] * 100)
    assert 1 <= len(found(health)) < 10
    health.close()


def test_a_clock_that_is_set_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    health = Health(str(machine(tmp_path)))
    offsets = iter([1000.0, 1000.001, None, 4600.0, 4600.0])
    monkeypatch.setattr("agents.health._clock_offset", lambda: next(offsets))
    health.look()
    assert found(health) == []
    assert found(health) == []
    assert [e["text"] for e in health.look()] == ["the wall clock went forward by 3599.999 s"]
    assert found(health) == []


def test_what_befell_the_host_is_in_the_journal_of_the_launch(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "kmsg"
    log.touch()
    monkeypatch.setenv(INSTEAD, str(log))
    order = host.order("sh", "-c", f"echo '4,1,1,-;Oops: 0002 [#1]' >> {log}")
    entries = host.run(order)
    assert [e.data["what"] for e in entries if e.kind == "health"] == ["oops"]
    assert entries[-1].kind == "ended"
