"""What a sanitizer writes becomes a kind and the functions that came together."""

from __future__ import annotations

import pytest

from orchestrator.analysis.sanitizer import Report, kind_of, reports

THREAD = """\
==================
WARNING: ThreadSanitizer: data race (pid=4242)
  Write of size 8 at 0x7b0400000800 by thread T2:
    #0 memset <null> (orch-harness-tsan+0x5e1f0)
    #1 slot_clear native/kernel/capability_slots.c:187 (orch-harness-tsan+0xd1f0)
    #2 worker native/harness/window.c:99 (orch-harness-tsan+0xd2f0)

  Previous read of size 8 at 0x7b0400000800 by thread T1:
    #0 capability_check native/kernel/capability.c:60 (orch-harness-tsan+0xd3f0)

  Location is heap block of size 64 at 0x7b0400000800 allocated by main thread:
    #0 malloc <null> (orch-harness-tsan+0x5e1f0)
    #1 table_create native/kernel/capability_table.c:20 (orch-harness-tsan+0xd4f0)

  Thread T2 (tid=7, running) created by main thread at:
    #0 pthread_create <null> (orch-harness-tsan+0x5e1f0)
    #1 window_run native/harness/window.c:300 (orch-harness-tsan+0xd5f0)

SUMMARY: ThreadSanitizer: data race native/kernel/capability_slots.c:187 in slot_clear
==================
"""
ADDRESS = """\
=================================================================
==77==ERROR: AddressSanitizer: heap-use-after-free on address 0x602000000010 at pc 0x55 bp 0x7f sp 0x7f
READ of size 8 at 0x602000000010 thread T1
    #0 0x55aa in tree_walk native/kernel/capability_tree.c:31
    #1 0x55ab in worker native/harness/window.c:99

0x602000000010 is located 0 bytes inside of 16-byte region [0x602000000010,0x602000000020)
freed by thread T2 here:
    #0 0x7fee in __interceptor_free ../../../../src/libsanitizer/asan/asan_malloc_linux.cpp:52
    #1 0x55ac in slot_free native/kernel/capability_slots.c:180

previously allocated by thread T0 here:
    #0 0x7fee in __interceptor_malloc ../../../../src/libsanitizer/asan/asan_malloc_linux.cpp:69
    #1 0x55ad in slot_alloc native/kernel/capability_slots.c:20

SUMMARY: AddressSanitizer: heap-use-after-free native/kernel/capability_tree.c:31 in tree_walk
"""
LEAK = """\
==9==ERROR: LeakSanitizer: detected memory leaks

Direct leak of 24 byte(s) in 1 object(s) allocated from:
    #0 0x7f in malloc (libasan.so+0x1)
    #1 0x55 in ring_new native/kernel/deque.c:12

SUMMARY: AddressSanitizer: 24 byte(s) leaked in 1 allocation(s).
"""
UNDEFINED = "native/kernel/deque.c:12:5: runtime error: shift exponent 64 is too large for 64-bit type 'unsigned long'"


@pytest.mark.parametrize(
    ("text", "kind", "functions"),
    [
        (THREAD, "data race", ("slot_clear", "capability_check")),
        (ADDRESS, "use after free", ("tree_walk", "slot_free")),
        (LEAK, "leak", ()),
        (UNDEFINED, "undefined behaviour", ()),
    ],
)
def test_a_report_gives_its_kind_and_who_came_together(
    text: str, kind: str, functions: tuple[str, ...]
) -> None:
    (found,) = reports(text.splitlines())
    assert (found.kind, found.functions) == (kind, functions)
    assert "0x" not in found.text
    assert "pid" not in found.text


def test_reports_one_after_the_other_are_told_apart() -> None:
    lines = (THREAD + "a word between\n" + THREAD + ADDRESS).splitlines()
    assert [r.kind for r in reports(lines)] == ["data race", "data race", "use after free"]


def test_a_report_that_was_cut_short_counts() -> None:
    cut = THREAD.split("  Previous", maxsplit=1)[0].splitlines()
    assert reports(cut) == [Report("data race", ("slot_clear",), "data race")]


def test_what_is_no_report_gives_none() -> None:
    assert reports(["orch-harness: no such bench", "", "#0 nothing", "SUMMARY: 3 of 4"]) == []


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("race: plain read of 0x7f by thread 1, and an access by thread 2 that nothing orders", "data race"),
        ("use after free: 0x7f", "use after free"),
        ("double free: 0x7f", "double free"),
        ("deadlock: thread 1 waits, and nobody can wake it", "deadlock"),
        ("livelock: the threads do not end", "livelock"),
        ("leak: 64 bytes at 0x7f", "leak"),
        ("an item came twice: seen == 0", "an item came twice"),
    ],
)
def test_the_explorer_and_the_sanitizers_call_the_same_by_one_name(message: str, kind: str) -> None:
    assert kind_of(message) == kind
