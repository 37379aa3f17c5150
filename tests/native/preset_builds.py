"""The builds of the presets (native/build/PRESET): every test that needs one shares them, and one at a time makes one up to date."""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

NATIVE = Path(__file__).parents[2] / "native"
#: variant → its harness; the same bytes as in the bundle (test_harness_build.py)
HARNESSES = {"release": "orch-harness", "asan": "orch-harness-asan", "tsan": "orch-harness-tsan"}


@contextlib.contextmanager
def held(preset: str) -> Iterator[None]:
    """Nobody else builds there meanwhile, from these tests or from the tools."""
    folder = NATIVE / "build"
    folder.mkdir(exist_ok=True)
    with (folder / f".{preset}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def up_to_date(preset: str, *targets: str) -> Path:
    """Its folder, with the targets built, or with all of them."""
    named = ["--target", *targets] if targets else []
    with held(preset):
        for command in (
            ["cmake", "--preset", preset],
            ["cmake", "--build", "--preset", preset, "--parallel", str(os.cpu_count() or 1), *named],
        ):
            done = subprocess.run(command, cwd=NATIVE, capture_output=True, text=True, timeout=2800)
            assert done.returncode == 0, done.stdout + done.stderr
    return NATIVE / "build" / preset


class Harnesses(Mapping[str, Path]):
    """Variant → program, each built when it is first asked for."""

    def __init__(self) -> None:
        self._built: dict[str, Path] = {}

    def __getitem__(self, variant: str) -> Path:
        if variant not in self._built:
            self._built[variant] = up_to_date(variant, "orch-harness") / HARNESSES[variant]
        return self._built[variant]

    def __iter__(self) -> Iterator[str]:
        return iter(HARNESSES)

    def __len__(self) -> int:
        return len(HARNESSES)
