"""Let every detector look for every planted fault of a source tree: `tools/try_mutants.py` of that tree does it."""

from __future__ import annotations

import contextlib
import difflib
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.bundle.build import is_source
from orchestrator.errors import BuildError, InputError
from orchestrator.model.race import DETECTORS, SUBJECTS, Detector

#: Of the stress of a mutant: more than there are CPUs, so that threads are torn from each other.
STRESS_THREADS = 4


@dataclass(frozen=True)
class Asked:
    """``budget_s``: of one trial, which is one mutant, one detector, one seed, by the explorer; ``stress_s``: by any other. ``keep``:
    answers of an earlier, broken-off run of the same, and where those of this one are added; None: nowhere."""

    detectors: Sequence[str]
    seeds: Sequence[int]
    budget_s: float
    stress_s: float
    jobs: int
    only: Sequence[str] = ()
    mutants: Path | None = None
    decoys: Path | None = None
    keep: Path | None = None


def score(source: Path, asked: Asked) -> Iterator[dict[str, Any]]:
    """The records as they come. Raises InputError (no such tree, no mutants, an unknown name), BuildError."""
    tool = source / "tools" / "try_mutants.py"
    if not is_source(source) or not tool.is_file():
        raise InputError(str(source), "there is no native source tree with planted faults here")
    question = json.dumps(_question(source, asked))
    with (
        tempfile.TemporaryFile("w+", errors="replace") as complaints,
        subprocess.Popen(
            [sys.executable, str(tool)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=complaints,
            text=True,
        ) as process,
    ):
        try:
            yield from _answers(process, question, asked.keep)
        finally:
            process.terminate()
        complaints.seek(0)
        said = complaints.read().strip()
        if process.returncode != 0:
            raise BuildError(
                str(tool), said.splitlines()[-1] if said else f"exit status {process.returncode}"
            )


def _answers(process: subprocess.Popen[str], question: str, keep: Path | None) -> Iterator[dict[str, Any]]:
    if process.stdin is None or process.stdout is None:
        raise AssertionError("pipes were asked for")
    with contextlib.suppress(BrokenPipeError):  # it gave up before it had heard all: its words follow
        process.stdin.write(question)
        process.stdin.close()
    known = _keys(keep)
    for line in process.stdout:
        record = json.loads(line)
        if keep is not None and record.get("key") not in known:
            with keep.open("a") as kept:
                kept.write(line)
        yield record
    process.wait()


def _keys(keep: Path | None) -> set[str]:
    """Of the answers that are kept already; a last line that was cut off is none, and is ended."""
    keys = set()
    text = keep.read_text() if keep is not None and keep.is_file() else ""
    if keep is not None and text and not text.endswith("\n"):
        with keep.open("a") as f:
            f.write("\n")
    for line in text.splitlines():
        with contextlib.suppress(ValueError):
            value = json.loads(line)
            keys.add(value.get("key", "") if isinstance(value, dict) else "")
    return keys


def _question(source: Path, asked: Asked) -> dict[str, Any]:
    mutants = asked.mutants or source / "mutants"
    decoys = asked.decoys or source / "mutants" / "decoys"
    for option, folder in (("--mutants", mutants), *([("--decoys", decoys)] if asked.decoys else [])):
        if not folder.is_dir():
            raise InputError(f"{option} {folder}", "is no folder")
        if not any(folder.glob("*.patch")):
            raise InputError(f"{option} {folder}", "there is no patch in it", "faults are files NAME.patch")
    there = {p.stem for folder in (mutants, decoys) for p in folder.glob("*.patch")}
    for name in asked.only:
        if name not in there:
            close = difflib.get_close_matches(name, there, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"there are {len(there)} in {mutants}"
            raise InputError(f"--only {name}", "there is no such mutant", hint)
    return {
        "detectors": [_detector(DETECTORS[name], asked) for name in asked.detectors],
        "subjects": {
            name: {
                "sources": list(s.sources),
                "benches": [[b.name, dict(b.settings)] for b in s.benches],
                "histories": [[b.name, dict(b.settings)] for b in s.histories],
                "gates": list(s.gates),
            }
            for name, s in SUBJECTS.items()
        },
        "mutants": str(mutants.resolve()),
        "decoys": str(decoys.resolve()) if decoys.is_dir() else "",
        "only": list(asked.only),
        "seeds": list(asked.seeds),
        "judge": [sys.executable, "-m", "orchestrator.engine.judge_histories"],
        "jobs": asked.jobs,
        "keep": str(asked.keep.resolve()) if asked.keep else "",
    }


def _detector(detector: Detector, asked: Asked) -> dict[str, Any]:
    return {
        "name": detector.name,
        "variant": detector.variant,
        "threads": 1 if detector.explores else STRESS_THREADS,
        "budget_s": asked.budget_s if detector.explores else asked.stress_s,
        "words": ["--stutter", f"{detector.stutter_ms:g}"] if detector.stutter_ms else [],
        "histories": detector.histories,
    }
