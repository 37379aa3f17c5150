"""Guests as hosts of a lab: what they boot from, and, slowly, that they do and what they are then."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from typer.testing import CliRunner

from agents.kernel_log import BROKEN, STALLED, judge
from orchestrator.bundle import cache
from orchestrator.cli.lab import app
from orchestrator.errors import EXIT_UNKNOWN, InputError, SetupError
from orchestrator.lab import guest, guests, labs, life, processes, userland
from orchestrator.lab.guest import Shape

ORCH = [sys.executable, "-m", "orchestrator.cli.app"]
ROOT = Path(__file__).parents[2]


def orch(*words: str, limit_s: float = 900) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*ORCH, *words], capture_output=True, text=True, timeout=limit_s, check=False, cwd=ROOT
    )


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One that is none, with modules that are none, in a cache of its own."""
    monkeypatch.setenv("ORCH_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "cache" / "guest" / "lib" / "modules" / "1.2-test" / "kernel"
    folder.mkdir(parents=True)
    for name in ("virtio_net", "virtio", "virtio_ring"):
        (folder / f"{name}.ko").write_bytes(name.encode())
    return tmp_path / "vmlinuz-1.2-test"


def test_the_archive_has_what_a_host_needs_and_is_made_again_where_that_changes(kernel: Path) -> None:
    made = userland.archive(kernel)
    content, written = made.read_bytes(), made.stat().st_mtime_ns
    for name in (b"usr/sbin/sshd", b"usr/bin/sh", b"modules/00-virtio_ring.ko", b"modules/02-virtio_net.ko"):
        assert name + b"\0" in content
    python = Path(sys.executable).resolve().name.encode()
    assert b"usr/bin/" + python + b"\0" in content
    assert b"/json/decoder.py\0" in content
    assert userland.archive(kernel) == made
    assert made.stat().st_mtime_ns == written
    next(cache.cache_root().rglob("virtio_net.ko")).write_bytes(b"newer")
    assert userland.archive(kernel) != made
    assert len(list(cache.folder("guest").glob("userland-*.cpio"))) == 1


def test_a_kernel_without_its_modules_is_said(kernel: Path) -> None:
    with pytest.raises(SetupError, match="modules of the kernel") as refused:
        userland.archive(kernel.with_name("vmlinuz-9.9"))
    assert refused.value.hint == "make guests"


def test_odd_wishes_are_refused() -> None:
    cli = CliRunner()
    for words in (["--numa", "16"], ["--numa", "4x2", "--loopback", "2"], ["--numa", "4x2", "--hosts", "17"]):
        assert isinstance(cli.invoke(app, ["up", "odd", *words]).exception, InputError), words
    assert "odd" not in labs.names()


def test_a_kvm_that_may_not_be_opened_is_not_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert not guests.kvm(tmp_path / "none")


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("guests")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ORCH_STATE", str(path))
        yield path
        for name in labs.names():
            life.down(name)


def run_on(name: str, runs: Path, *words: str) -> tuple[int, dict[str, Any], Path]:
    done = orch("run", *words, "-i", f"lab:{name}", "--runs", str(runs), "--json")
    assert done.stdout, done.stderr
    folder = max(runs.iterdir())
    return done.returncode, json.loads(done.stdout), folder


@pytest.mark.slow
@pytest.mark.sshd
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("shape", ["8x2", "16x4"])
def test_a_guest_is_a_host_of_so_many_nodes(state: Path, tmp_path: Path, shape: str) -> None:
    guest.kernel()
    name, wanted = f"g{shape}", Shape.parse(shape)
    up = orch("lab", "up", name, "--numa", shape)
    assert up.returncode == 0, up.stderr
    assert "under KVM" in up.stderr or "emulated" in up.stderr
    facts = json.loads(orch("hosts", "facts", "-i", f"lab:{name}", "--json").stdout)["facts"]["h1"]
    assert (len(facts["cpus"]), len(facts["nodes"])) == (wanted.cpus, wanted.nodes)
    shown = orch("lab", "exec", name, "h1", "--", "sh", "-c", "cat /sys/devices/system/node/node0/distance")
    assert [int(word) for word in shown.stdout.split()] == [
        wanted.distance(0, n) for n in range(wanted.nodes)
    ]
    code, said, folder = run_on(name, tmp_path / "runs", "playbook", "playbooks/numa.yml")
    assert code == 0, said
    steps = {s["id"]: s for s in json.loads((folder / "plan.json").read_text())["steps"]}
    far = next(s for s in steps.values() if s["placement"] == "remote")
    home = next(node for node in range(wanted.nodes) if far["cpus"][0] in wanted.cpus_of(node))
    assert far["mem"] in [f"node:{node}" for node in range(wanted.nodes) if node != home]
    # the kernel of the guest has told for each page where it is
    placed = {f["subject"]: f for f in said["findings"] if f["analysis"] == "placed"}
    assert [(f["verdict"], f["value"] > 0.9) for f in placed.values()] == [("holds", True)] * 2, placed
    assert f"memory {far['mem']}: " in placed[far["id"]]["summary"]
    samples = pd.read_parquet(folder / "tables" / "samples.parquet")
    matrix = samples[samples["bench"] == "numa_matrix"].set_index("metric")["value"]
    for a in range(wanted.nodes):
        assert all(matrix[f"latency_{a}_{b}_ns"] > 0 for b in range(wanted.nodes))
    hosts = pd.read_parquet(folder / "tables" / "hosts.parquet").iloc[0]
    assert hosts["emulated"]
    assert "emulated" in hosts["marks"]
    skipped = [s["skip"] for s in steps.values() if s["placement"] == "nodes:4"]
    assert skipped == ([""] if wanted.nodes >= 4 else ["4 nodes, the host has 2 with CPUs that may be used"])
    life.kill(name, "h1")
    assert orch("lab", "status", name).returncode == 3
    assert life.revive(name, "h1").host("h1").alive
    emulator = labs.load(name).host("h1").sshd
    assert emulator is not None
    assert orch("lab", "down", name).returncode == 0
    assert not processes.alive(emulator)


@pytest.mark.slow
@pytest.mark.sshd
@pytest.mark.timeout(3600)
def test_sixty_four_cpus_run_the_smoke_playbook(state: Path, tmp_path: Path) -> None:
    guest.kernel()
    up = orch("lab", "up", "wide", "--numa", "64x4", limit_s=1800)
    assert up.returncode == 0, up.stderr
    inventory = yaml.safe_load(labs.load("wide").inventory.read_text())
    assert inventory["hosts"]["h1"]["emulated"] is True
    done = orch(
        "run", "playbook", "playbooks/smoke.yml", "-i", "lab:wide", "--runs", str(tmp_path), limit_s=1800
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "emulated" in done.stdout
    life.down("wide")


SETTINGS = " ".join(
    (
        "/sys/kernel/mm/transparent_hugepage/enabled",
        "/proc/sys/kernel/randomize_va_space",
        "/proc/sys/kernel/numa_balancing",
        "/sys/devices/system/cpu/smt/control",
        "/sys/devices/system/cpu/online",
    )
)
#: of a host of a lab: in its spool
PLACE = "/root/.cache/orch/place"
TUNED = """
orch: 1
name: tuned
lease: {for: 1h, ttl: %s}
tune: {thp: never, aslr: "off", numa_balancing: "off", governor: performance, smt: "off"}
jobs:
  - name: seen
    workload: command
    with: {argv: [sh, -c, "cat %s; sleep {{ seconds }}"]}
vars: {seconds: 0}
"""


def tuned(folder: Path, ttl: str) -> Path:
    path = folder / "tuned.yml"
    path.write_text(TUNED % (ttl, SETTINGS))
    return path


def on(script: str) -> str:
    done = orch("lab", "exec", "set", "h1", "--", "sh", "-c", script)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def before(state: Path) -> Iterator[str]:
    """A guest whose kernel may be set, with two threads to a core; what it is set to at first."""
    guest.kernel()
    up = orch("lab", "up", "set", "--numa", "8x2x2")
    assert up.returncode == 0, up.stderr
    yield on(f"cat {SETTINGS}")
    life.down("set")


@pytest.mark.slow
@pytest.mark.sshd
@pytest.mark.timeout(1500)
def test_a_kernel_that_is_stuck_and_one_that_has_died_say_so_in_words_that_are_known(
    state: Path, tmp_path: Path
) -> None:
    guest.kernel()
    for shape in ("1x1", "2x1"):
        up = orch("lab", "up", f"k{shape}", "--numa", shape)
        assert up.returncode == 0, up.stderr
    alone = orch("lab", "fault", "k1x1", "lockup", "h1")
    assert (alone.returncode, "nothing would be left that notices" in alone.stderr) == (2, True)

    def kinds() -> dict[str, str]:
        log = orch("lab", "exec", "k2x1", "h1", "--", "dmesg", "--raw").stdout
        lines = [line.partition(">")[2].partition("] ")[2] for line in log.splitlines()]
        return {told.what: told.level for told in map(judge, lines) if told}

    at_first = kinds()
    assert not {"soft_lockup", "oops"} & set(at_first)
    stuck = orch("lab", "fault", "k2x1", "lockup", "h1")
    assert stuck.returncode == 0, stuck.stderr
    assert kinds() == {**at_first, "soft_lockup": STALLED}
    book = tmp_path / "book.json"
    job = {"name": "nothing", "workload": "command", "with": {"argv": ["true"]}}
    book.write_text(json.dumps({"orch": 1, "name": "nothing", "jobs": [job]}))
    # a virtual machine may be stuck for want of its processor, and is believed all the same
    code, said, _ = run_on("k2x1", tmp_path / "runs", "playbook", str(book))
    assert code == 0, said
    died = orch("lab", "fault", "k2x1", "oops", "h1")
    assert (died.returncode, died.stdout) == (0, "h1 is alive, oops\n"), died.stderr
    assert kinds() == {**at_first, "soft_lockup": STALLED, "oops": BROKEN}
    code, said, _ = run_on("k2x1", tmp_path / "runs", "playbook", str(book))
    assert code == EXIT_UNKNOWN, said


def tuned_by(run: Path) -> dict[str, Any]:
    """What a run noted of each setting of its one host."""
    lines = (run / "journal" / "controller.ndjson").read_text().splitlines()
    (told,) = [e["data"]["settings"] for e in map(json.loads, lines) if e["kind"] == "tuned"]
    return dict(told)


def killed_while_it_holds(book: Path, runs: Path) -> str:
    """A run that has set the guest's kernel and works there is killed, and all that it started here with it; what its host has
    written down of what was there before."""
    argv = [*ORCH, "run", "playbook", str(book), "--set", "seconds=600", "-i", "lab:set", "--runs", str(runs)]
    running = subprocess.Popen(argv, cwd=ROOT, start_new_session=True, stderr=subprocess.DEVNULL)
    try:
        on("until ps -e -o args | grep -q '[s]leep 600'; do sleep 1; done")
        return on(f"cat {PLACE}/tuned.json")
    finally:
        os.killpg(running.pid, signal.SIGKILL)
        running.wait()


@pytest.mark.slow
@pytest.mark.sshd
@pytest.mark.timeout(1500)
def test_the_kernel_of_a_guest_is_set_and_put_back(before: str, tmp_path: Path) -> None:
    assert "[never]" not in before
    code, said, folder = run_on("set", tmp_path / "runs", "playbook", str(tuned(tmp_path, "10m")))
    assert code == 0, said
    settings = tuned_by(folder)
    # an emulated CPU has none
    assert settings["governor"]["why"] == "this kernel has no governor"
    assert (settings["smt"]["before"], settings["smt"]["after"]) == ("on", "off"), settings
    seen = next((folder / "journal" / "h1").iterdir()).read_text()
    assert "[never]" in seen
    assert "0,2,4,6" in seen
    assert on(f"cat {SETTINGS}") == before


@pytest.mark.slow
@pytest.mark.sshd
@pytest.mark.timeout(1500)
def test_a_killed_controller_loses_its_host_which_puts_its_kernel_back_and_is_taken_by_the_next(
    before: str, tmp_path: Path
) -> None:
    book = tuned(tmp_path, "1m")
    killed_while_it_holds(book, tmp_path / "killed")
    began = time.monotonic()
    assert on(f"cat {SETTINGS}") != before
    code, said, folder = run_on("set", tmp_path / "next", "playbook", str(book))
    print(
        f"held, set and worked on: the next run had the host, and had ended, after {time.monotonic() - began:.0f} s"
    )
    assert code == 0, said
    # what it found there was what there had been before the one that was killed
    settings = tuned_by(folder)
    found = {name: settings[name]["before"] for name in ("thp", "aslr", "numa_balancing", "smt")}
    assert found == {"thp": "always", "aslr": "full", "numa_balancing": "on", "smt": "on"}
    assert on("ps -e -o args | grep -c '[s]leep 600' || :").strip() == "0"
    assert on(f"cat {SETTINGS}") == before
    shown = json.loads(orch("hosts", "list", "--status", "-i", "lab:set", "--json").stdout)
    assert shown["hosts"][0]["lease"] is None, shown


@pytest.mark.slow
@pytest.mark.sshd
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("hours", [6, -6])
def test_a_host_whose_clock_is_hours_off_is_told_and_its_times_are_right(
    before: str, tmp_path: Path, hours: int
) -> None:
    words = f"h1: its clock is 6.0 h {'ahead' if hours > 0 else 'behind'}"
    on(f"date -s @$(( $(date +%s) + {hours * 3600} ))")
    try:
        doctor = orch("hosts", "doctor", "-i", "lab:set")
        book = str(tuned(tmp_path, "10m"))
        ran = orch("run", "playbook", book, "-i", "lab:set", "--runs", str(tmp_path / "runs"))
    finally:
        on(f"date -s @$(( $(date +%s) - {hours * 3600} ))")
    assert doctor.returncode == 1
    assert words.partition(" ")[2] in doctor.stdout
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert f"{words}; times in the report are corrected by that" in ran.stderr
    (folder,) = (tmp_path / "runs").iterdir()
    run = pd.read_parquet(folder / "tables" / "runs.parquet").iloc[0]
    step = pd.read_parquet(folder / "tables" / "steps.parquet").iloc[0]
    margin = pd.Timedelta(minutes=10)
    assert run["started"] - margin < step["started"] <= step["ended"] < run["ended"] + margin


@pytest.mark.slow
@pytest.mark.sshd
@pytest.mark.timeout(1500)
def test_the_kernel_of_a_guest_is_put_back_after_it_was_switched_off(before: str, tmp_path: Path) -> None:
    """Everything of a run is killed, and the machine switched off: what its disk keeps is what was written down."""
    book = tuned(tmp_path, "10m")
    kept = killed_while_it_holds(book, tmp_path / "killed")
    assert on(f"cat {SETTINGS}") != before
    life.kill("set", "h1")
    life.revive("set", "h1")
    on(
        f"mkdir -p -m 700 {PLACE}; printf %s {shlex.quote(kept.strip())} >{PLACE}/tuned.json; chmod 600 {PLACE}/*"
    )
    on("echo never >/sys/kernel/mm/transparent_hugepage/enabled")  # as whatever sets it at start would
    code, said, _ = run_on("set", tmp_path / "next", "playbook", str(book))
    assert code == 0, said
    assert on(f"cat {SETTINGS}") == before
    assert "tuned.json" not in on(f"ls {PLACE}")
