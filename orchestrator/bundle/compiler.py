"""CMake and the C compiler: which ones, what they lack, how they are called, what they complain about."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from orchestrator.errors import BuildError, SetupError

_ERROR_LINES = 8
#: a compiler that does not answer is broken; a build of this tree takes seconds
_ANSWER_S = 30
_BUILD_S = 900
#: Flags of the environment would get into the bytes without being in the key of the cache, and a
#: `-march=native` would make a file that does not run on every host.
_FLAGS_OF_THE_ENVIRONMENT = (
    "CFLAGS",
    "CXXFLAGS",
    "CPPFLAGS",
    "LDFLAGS",
    "CMAKE_GENERATOR",
    "CMAKE_BUILD_TYPE",
)


@dataclass(frozen=True)
class Toolchain:
    compiler: str
    #: first line of its --version, and the machine it compiles for
    identity: str
    cmake: str
    generator: str


def find_toolchain() -> Toolchain:
    """Raises SetupError naming all packages that are missing, with the one command that installs them."""
    wanted = os.environ.get("CC")
    if wanted and not shutil.which(wanted):
        raise SetupError("CC", f"there is no compiler '{wanted}'", "unset CC, or name one that is installed")
    compiler = shutil.which(wanted) if wanted else _first("cc", "gcc", "clang")
    cmake = shutil.which("cmake")
    ninja, make = shutil.which("ninja"), shutil.which("make")
    missing = [] if cmake else ["cmake"]
    missing += [] if compiler else ["gcc", "libc6-dev"]
    missing += [] if ninja or make else ["make"]
    if missing or compiler is None or cmake is None:
        raise SetupError("this machine", _lacks(missing), install_command(missing))
    return Toolchain(compiler, _identity(compiler), cmake, "Ninja" if ninja else "Unix Makefiles")


def install_command(packages: list[str]) -> str:
    sudo = "" if os.geteuid() == 0 else "sudo "
    return f"{sudo}apt-get install -y {' '.join(packages)}"


def compile_variant(tools: Toolchain, source: Path, work: Path, variant: str, digest: str, log: Path) -> Path:
    """Build ``source`` below ``work`` and return the harness. Raises BuildError with the first errors."""
    build = work / "build"
    configure = [tools.cmake, "-S", str(source), "-B", str(build), "-G", tools.generator]
    configure += ["--preset", variant, f"-DCMAKE_C_COMPILER={tools.compiler}", f"-DORCH_BUILD_ID={digest}"]
    # a compiler newer than ours may warn of more: that is no reason to be without a harness
    configure += ["-DORCH_TESTS=OFF", "-DORCH_WERROR=OFF"]
    said = ""
    for command in (configure, make_command(tools, build, "orch-harness")):
        status, output = run_tool(command)
        said += output
        if status != 0:
            log.write_text(said)
            raise BuildError(f"variant {variant}", "\n".join(error_lines(output)), f"all of it: {log}")
    name = "orch-harness" if variant == "release" else f"orch-harness-{variant}"
    return build / name


def make_command(tools: Toolchain, build: Path, target: str) -> list[str]:
    """Of a build folder that is configured."""
    jobs = str(os.cpu_count() or 1)
    return [tools.cmake, "--build", str(build), "--parallel", jobs, "--target", target]


def error_lines(output: str) -> list[str]:
    """What our own build files say of it; else the first lines that say what is wrong; the last ones where none
    looks like it."""
    lines = [line.rstrip() for line in output.splitlines() if line.strip()]
    ours = [line.removeprefix("orch: ") for line in lines if line.startswith("orch: ")]
    if ours:
        return ours
    marks = ("error:", "CMake Error", "undefined reference", "fatal error", "cannot find")
    first = next((i for i, line in enumerate(lines) if any(m in line for m in marks)), None)
    return lines[-_ERROR_LINES:] if first is None else lines[first : first + _ERROR_LINES]


def _first(*names: str) -> str | None:
    return next((path for path in map(shutil.which, names) if path), None)


def _lacks(packages: list[str]) -> str:
    return "cannot build the native bundle, missing: " + ", ".join(packages)


def _identity(compiler: str) -> str:
    answers = []
    for option in ("--version", "-dumpmachine"):
        try:
            done = subprocess.run(
                [compiler, option], capture_output=True, text=True, timeout=_ANSWER_S, check=True
            )
        except (OSError, subprocess.SubprocessError) as e:
            raise SetupError(compiler, f"does not answer to {option}: {e}", "is it a C compiler?") from e
        answers.append(done.stdout.partition("\n")[0])
    return " for ".join(answers)


def run_tool(command: list[str]) -> tuple[int, str]:
    """Exit status, and what it said. Raises BuildError where it cannot be run, or does not end."""
    env = {k: v for k, v in os.environ.items() if k not in _FLAGS_OF_THE_ENVIRONMENT}
    try:
        done = subprocess.run(
            command,
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=_BUILD_S,
            env=env | {"LC_ALL": "C"},
        )
    except (OSError, subprocess.SubprocessError) as e:
        raise BuildError(command[0], f"could not be run: {e}") from e
    return done.returncode, done.stdout
