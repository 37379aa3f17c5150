"""From a race job to its cells: a scenario of the explorer or a bench under a detector each, and its part of the budget."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.errors import InputError
from orchestrator.model.race import (
    DETECTORS,
    OVERHEAD_S,
    SHORTEST_S,
    SUBJECTS,
    Bench,
    Detector,
    RaceSpec,
    needed_s,
    spec_of,
)
from orchestrator.model.units import in_words

STRESS_THREADS = 2

Scenarios = Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class RaceCell:
    """``axes`` names it: detector, subject (none of a gate), scenario or bench; ``seconds``: of its window."""

    axes: dict[str, Any]
    settings: dict[str, Any]
    variant: str
    threads: int
    placement: str
    seconds: float = 0.0


def race_cells(
    job: str, settings: Mapping[str, Any], threads: int, scenarios: Scenarios | None
) -> list[RaceCell]:
    """In the order of detectors and subjects, gates of a detector first. ``scenarios``: subject → names, None where
    the explorer cannot be built: then one cell for each subject stands for them, and fails with the reason.
    Raises InputError where the budget is too small for them."""
    spec = spec_of(settings, scenarios)
    made: list[tuple[Detector, RaceCell]] = []
    for name in spec.detectors:
        detector = DETECTORS[name]
        cells = (
            _explored(detector, spec, scenarios) if detector.explores else _stressed(detector, spec, threads)
        )
        made += [(detector, cell) for cell in cells]
    return _timed(job, spec, made)


def _explored(detector: Detector, spec: RaceSpec, scenarios: Scenarios | None) -> Iterator[RaceCell]:
    for subject in spec.subjects:
        listed = [""] if scenarios is None else scenarios.get(subject, ())
        for scenario in listed:
            for strategy in spec.strategies:
                axes = {
                    "detector": detector.name,
                    "subject": subject,
                    "scenario": scenario,
                    "strategy": strategy,
                }
                settings = {"bench": scenario, "strategy": strategy}
                yield RaceCell(axes, settings, detector.variant, 1, "none")


def _stressed(detector: Detector, spec: RaceSpec, threads: int) -> Iterator[RaceCell]:
    """Of code with locks first: what is reported there says that the detector is not to be believed. There is none that records."""
    threads = max(threads, STRESS_THREADS)
    known = [SUBJECTS[name] for name in spec.subjects if name in SUBJECTS]
    more = {"stutter": detector.stutter_ms} if detector.stutter_ms else {}
    for gate in dict.fromkeys(g for subject in known for g in subject.gates if not detector.histories):
        axes: dict[str, Any] = {"detector": detector.name, "gate": gate}
        yield RaceCell(axes, {"bench": gate, **more}, detector.variant, threads, spec.placements[0])
    for subject in spec.subjects:
        for bench in _benches(detector, subject):
            for placement in spec.placements:
                axes = {"detector": detector.name, "subject": subject, "bench": bench.name, **bench.settings}
                if len(spec.placements) > 1:
                    axes["placement"] = placement
                settings = {"bench": bench.name, **bench.settings, **more}
                yield RaceCell(axes, settings, detector.variant, threads, placement)


def _benches(detector: Detector, subject: str) -> Sequence[Bench]:
    about = SUBJECTS.get(subject)
    return () if about is None else about.histories if detector.histories else about.benches


def _timed(job: str, spec: RaceSpec, made: list[tuple[Detector, RaceCell]]) -> list[RaceCell]:
    """Each detector that has cells gets its share, and each of its cells as much as the next."""
    counts = Counter(detector.name for detector, _ in made)
    shares = sum(DETECTORS[name].share for name in counts)
    timed = []
    for detector, cell in made:
        seconds = spec.budget_s * detector.share / shares / counts[detector.name] - OVERHEAD_S
        if seconds < SHORTEST_S:
            raise InputError(
                f"job {job}: budget",
                f"{in_words(spec.budget_s)} is too little for {len(made)} steps",
                f"budget: {int(needed_s(counts)) + 1}s would do, or fewer subjects, detectors or strategies",
            )
        timed.append(
            RaceCell(cell.axes, cell.settings, cell.variant, cell.threads, cell.placement, round(seconds, 3))
        )
    return timed
