"""What is set on a host is put back, whoever was killed meanwhile; what cannot be is said."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from agents.lease import Place
from agents.tune import KNOBS, Tuned, Tuner
from orchestrator.model.held import KNOBS as ASKED

CPU = "sys/devices/system/cpu"
THP = "sys/kernel/mm/transparent_hugepage/enabled"
FILES = {
    f"{CPU}/cpu0/cpufreq/scaling_governor": "powersave",
    f"{CPU}/cpu1/cpufreq/scaling_governor": "schedutil",
    f"{CPU}/smt/control": "on",
    THP: "always [madvise] never",
    "proc/sys/kernel/numa_balancing": "1",
    "proc/sys/kernel/randomize_va_space": "2",
    "proc/irq/9/smp_affinity_list": "0-3",
    "proc/irq/10/smp_affinity_list": "0-3",
}


class FakeKernel(Tuner):
    """A tree of files that takes what is written; ``deaf`` ones keep what they had."""

    def __init__(self, folder: Path, files: dict[str, str] | None = None) -> None:
        super().__init__(Place(folder / "place"), str(folder / "root"))
        self.deaf: set[str] = set()
        for path, value in (FILES if files is None else files).items():
            (self.top / path).parent.mkdir(parents=True, exist_ok=True)
            (self.top / path).write_text(value + "\n")

    def now(self) -> dict[str, str]:
        return {path: (self.top / path).read_text().strip() for path in FILES if (self.top / path).exists()}

    def _write(self, knob: Any, path: str, value: str) -> str:
        if path in self.deaf:
            return f"/{path}: refused"
        if path == THP:
            words = ["always", "madvise", "never"]
            value = " ".join(f"[{w}]" if w == value else w for w in words)
            (self.top / path).write_text(value)
            return ""
        return super()._write(knob, path, value)


WANTED = {
    "governor": "performance",
    "smt": "off",
    "thp": "never",
    "numa_balancing": "off",
    "aslr": "off",
    "irqs": "0",
}


def test_every_setting_is_set_verified_and_put_back(tmp_path: Path) -> None:
    kernel = FakeKernel(tmp_path)
    before = kernel.now()
    told = kernel.apply("a", WANTED)["settings"]
    assert {name: s["ok"] for name, s in told.items()} == dict.fromkeys(WANTED, True)
    assert told["governor"] == {
        "asked": "performance",
        "before": "powersave,schedutil",
        "after": "performance",
        "ok": True,
        "why": "",
    }
    assert (told["aslr"]["before"], told["aslr"]["after"]) == ("full", "off")
    now = kernel.now()
    assert now[THP] == "always madvise [never]"
    assert all(now[path] != before[path] for path in FILES)
    assert kernel.restore("a") == {"restored": list(reversed(WANTED)), "not_restored": {}}
    assert kernel.now() == before
    assert not kernel.file.exists()


def test_the_next_one_puts_back_what_somebody_who_was_killed_had_set(tmp_path: Path) -> None:
    before = FakeKernel(tmp_path).now()
    FakeKernel(tmp_path, {}).apply("a", {"thp": "never", "aslr": "off"})
    kernel = FakeKernel(tmp_path, {})
    kernel.apply("b", {"numa_balancing": "off"})
    assert kernel.now() == {**before, "proc/sys/kernel/numa_balancing": "0"}
    kernel.restore("b")
    assert kernel.now() == before


def test_another_lease_s_settings_stay(tmp_path: Path) -> None:
    kernel = FakeKernel(tmp_path)
    kernel.apply("b", {"aslr": "off"})
    assert kernel.restore("a") == {"restored": [], "not_restored": {}}
    assert kernel.now()["proc/sys/kernel/randomize_va_space"] == "0"


def test_what_is_as_asked_already_is_left_alone(tmp_path: Path) -> None:
    kernel = FakeKernel(tmp_path)
    assert kernel.apply("a", {"thp": "madvise"})["settings"]["thp"]["ok"]
    assert not kernel.file.exists()


def test_what_cannot_be_put_back_is_said_and_tried_again(tmp_path: Path) -> None:
    kernel = FakeKernel(tmp_path)
    before = kernel.now()
    kernel.apply("a", {"thp": "never", "aslr": "off"})
    kernel.deaf = {"proc/sys/kernel/randomize_va_space"}
    told = kernel.restore("a")
    assert told["restored"] == ["thp"]
    assert "refused" in told["not_restored"]["aslr"]
    kernel.deaf = set()
    assert kernel.restore(None) == {"restored": ["aslr"], "not_restored": {}}
    assert kernel.now() == before


def test_a_setting_that_does_not_take_is_not_ok(tmp_path: Path) -> None:
    kernel = FakeKernel(tmp_path)
    kernel.deaf = {f"{CPU}/cpu1/cpufreq/scaling_governor"}
    told = kernel.apply("a", {"governor": "performance"})["settings"]["governor"]
    assert not told["ok"]
    assert told["after"] == "performance,schedutil"
    assert "cpu1" in told["why"]


def test_interrupts_that_cannot_be_moved_are_counted(tmp_path: Path) -> None:
    kernel = FakeKernel(tmp_path)
    kernel.deaf = {"proc/irq/9/smp_affinity_list"}
    told = kernel.apply("a", {"irqs": "0"})["settings"]["irqs"]
    assert told["ok"]
    assert told["why"] == "1 of 2 cannot be moved"
    assert kernel.restore("a")["not_restored"] == {}


def test_numbers_of_interrupts_from_before_a_reboot_mean_nothing(tmp_path: Path) -> None:
    kernel = FakeKernel(tmp_path)
    kernel.apply("a", {"irqs": "0", "aslr": "off"})
    left, _ = kernel._remembered()
    assert left is not None
    kernel._remember(Tuned("a", "an earlier boot", left.changed))
    assert kernel.restore(None)["restored"] == ["aslr"]
    assert kernel.now()["proc/irq/9/smp_affinity_list"] == "0"


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("turbo", "off", "no such setting"),
        ("aslr", "half", "expected one of: off conservative full"),
    ],
)
def test_what_is_no_setting_is_said(tmp_path: Path, name: str, value: str, why: str) -> None:
    told = FakeKernel(tmp_path).apply("a", {name: value})["settings"][name]
    assert not told["ok"]
    assert told["why"].startswith(why)


def test_a_kernel_without_it_says_so(tmp_path: Path) -> None:
    told = FakeKernel(tmp_path, {}).apply("a", {"governor": "performance"})["settings"]["governor"]
    assert told["why"] == "this kernel has no governor"


def test_no_smt_is_as_good_as_off(tmp_path: Path) -> None:
    kernel = FakeKernel(tmp_path, {f"{CPU}/smt/control": "notsupported"})
    assert kernel.apply("a", {"smt": "off"})["settings"]["smt"]["ok"]
    assert not kernel.apply("a", {"smt": "on"})["settings"]["smt"]["ok"]


def test_a_file_that_names_other_paths_writes_nothing_there(tmp_path: Path) -> None:
    kernel = FakeKernel(tmp_path)
    victim = kernel.top / "etc"
    victim.write_text("mine")
    aslr = "proc/sys/kernel/randomize_va_space"
    for path in ("etc", "proc/irq/../../etc", f"{aslr}/../../../../etc"):
        (kernel.top / aslr).write_text("2")
        kernel.apply("a", {"aslr": "off"})
        kernel.file.write_text(kernel.file.read_text().replace(aslr, path))
        assert kernel.restore(None)["not_restored"]
        assert victim.read_text() == "mine"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_file_of_another_user_is_not_believed(tmp_path: Path) -> None:
    kernel = FakeKernel(tmp_path)
    kernel.apply("a", {"aslr": "off"})
    os.chown(kernel.file, 12345, 12345)
    told = kernel.restore(None)
    assert "is of user 12345" in told["not_restored"]["all"]
    assert kernel.now()["proc/sys/kernel/randomize_va_space"] == "0"


def test_agent_and_playbook_know_the_same_settings() -> None:
    assert set(KNOBS) == set(ASKED)
    assert {k: set(v.values) for k, v in KNOBS.items()} == {k: set(v) for k, v in ASKED.items()}
