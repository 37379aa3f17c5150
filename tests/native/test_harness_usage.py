from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

pytestmark = pytest.mark.native

BENCH = "harness_floor"
CASES = [
    ([], "no command given; there are: list, run"),
    (["lst"], "unknown command 'lst'; nearest: list"),
    (["list", "--jsn"], "unknown option of list '--jsn'; nearest: --json"),
    (["run"], "run needs the name of a bench; orch-harness list shows them"),
    (["run", "capability_chek"], "unknown bench 'capability_chek'; nearest: capability_check"),
    (["run", BENCH, "--thread", "2"], "unknown option '--thread'; nearest: --threads"),
    (["run", BENCH, "extra"], "unexpected argument 'extra' after the bench"),
    (["run", BENCH, "--threads"], "--threads needs a value"),
    (["run", BENCH, "--threads", "0"], "--threads: 0 is outside 1 .. 4096"),
    (["run", BENCH, "--threads", "two"], "--threads: 'two' is not an integer"),
    (["run", BENCH, "--threads=4097"], "--threads: 4097 is outside 1 .. 4096"),
    (["run", BENCH, "--seconds", "0"], "--seconds: 0 is outside 0.001 .. 1e+08 seconds"),
    (["run", BENCH, "--seconds", "1s"], "--seconds: '1s' is not a number of seconds"),
    (["run", BENCH, "--seconds", "nan"], "--seconds: 'nan' is not a number of seconds"),
    (["run", BENCH, "--warmup", "-1"], "--warmup: -1 is outside 0 .. 1e+08 seconds"),
    (["run", BENCH, "--interval", "0.001"], "--interval: 0.001 is outside 0.01 .. 1e+08 seconds (0: none)"),
    (["run", BENCH, "--seed", "-1"], "--seed: '-1' is not an integer from 0 to 2^64-1"),
    (["run", BENCH, "--seed", "18446744073709551616"], "is not an integer from 0 to 2^64-1"),
    (["run", BENCH, "--cpus", "0-"], "--cpus: '0-' is not a list of CPUs such as 0,2,4-7"),
    (["run", BENCH, "--cpus", "0,,0"], "--cpus: '0,,0' is not a list of CPUs such as 0,2,4-7"),
    (["run", BENCH, "--cpus", "8191"], "--cpus: CPU 8191 does not exist; there are: "),
    (["run", BENCH, "--cpus", "0", "--threads", "2"], "--cpus: 1 CPUs for 2 threads"),
    (["run", BENCH, "--mem", "remote"], "--mem: 'remote' is none of local, interleave, node:K"),
    (
        ["run", BENCH, "--mem", "node:1023"],
        "--mem: node 1023 does not exist or has no memory; the highest is",
    ),
    (["run", BENCH, "--set", "work"], "--set: 'work' is not key=value"),
    (["run", BENCH, "--set", "wrk=draw"], "unknown setting of harness_floor: 'wrk'; nearest: work"),
    (["run", BENCH, "--set", "work=drw"], "unknown value for setting work: 'drw'; nearest: draw"),
    (["run", "capability_check", "--set", "ids=x"], "setting ids: 'x' is not an integer"),
    (["run", "capability_check", "--set", "ids=0"], "setting ids: 0 is outside 1 .. "),
    (["run", "capability_check", "--set", "denied=2"], "setting denied: 2 is outside 0 .. 1"),
    (["run", "capability_churn", "--threads", "1024"], "capability_churn: at most 1023 threads"),
    (
        ["run", "capability_churn"]
        + [
            f"--set={op}=0"
            for op in (
                "check",
                "create",
                "grant",
                "attenuate",
                "delegate",
                "revoke",
                "delete",
                "transfer",
                "batch",
            )
        ],
        "capability_churn: every weight of the mix is 0",
    ),
]


@pytest.mark.parametrize(
    ("arguments", "says"), CASES, ids=lambda v: " ".join(v) if isinstance(v, list) else ""
)
def test_wrong_usage_is_one_line_and_status_2(
    built: Mapping[str, Path], arguments: list[str], says: str
) -> None:
    done = subprocess.run([str(built["release"]), *arguments], capture_output=True, text=True, timeout=240)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("orch-harness: ")
    assert done.stderr.count("\n") == 1
    assert says in done.stderr


def test_a_cpu_that_may_not_be_used_is_refused_with_those_that_may(built: Mapping[str, Path]) -> None:
    command = ["taskset", "-c", "0", str(built["release"]), "run", BENCH, "--cpus", "1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert done.returncode == 2
    assert "CPU 1 may not be used by this process; allowed: 0\n" in done.stderr


def test_help_is_an_answer(built: Mapping[str, Path]) -> None:
    done = subprocess.run([str(built["release"]), "--help"], capture_output=True, text=True, timeout=240)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: orch-harness list")


@pytest.mark.parametrize("arguments", [["list"], ["list", "--json"], ["run", BENCH, "--seconds", "0.05"]])
def test_a_full_disk_is_one_line_and_status_1(built: Mapping[str, Path], arguments: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [str(built["release"]), *arguments], stdout=full, stderr=subprocess.PIPE, text=True, timeout=240
        )
    assert done.returncode == 1
    assert done.stderr == "orch-harness: cannot write to standard output: No space left on device\n"


def test_a_reader_that_went_away_is_one_line_and_status_1(built: Mapping[str, Path]) -> None:
    command = [str(built["release"]), "run", BENCH, "--seconds", "20", "--interval", "0.05", "--warmup", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert '"hello"' in process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == "orch-harness: cannot write to standard output: Broken pipe\n"
    assert process.returncode == 1


def test_threads_that_cannot_be_had_are_an_error_record_and_status_1(built: Mapping[str, Path]) -> None:
    # a thread's stack is 1 MiB: 200 MiB of address space cannot hold a thousand of them
    script = f'ulimit -v 200000; exec "{built["release"]}" run {BENCH} --threads 1000 --seconds 0.1'
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=240)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "of 1000 could not be started" in done.stderr
    assert '"status":"error"' in done.stdout.splitlines()[-1]


@pytest.mark.parametrize("kilobytes", [20_000, 120_000, 300_000])
@pytest.mark.parametrize("bench", ["capability_check", "baseline_check"])
def test_exhausted_memory_is_an_error_record_and_status_1(
    built: Mapping[str, Path], bench: str, kilobytes: int
) -> None:
    run = f'exec "{built["release"]}" run {bench} --set ids=16777216 --seconds 0.1'
    script = f"ulimit -v {kilobytes}; {run}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=240)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "memory" in done.stderr
    assert '"status":"error"' in done.stdout.splitlines()[-1]
