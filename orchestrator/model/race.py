"""The race workload: which subjects there are, which detectors look for races in them, and what a job asks for.

A subject is a structure of the native code. It has scenarios in the explorer, which the program itself lists,
and benches for the detectors that run on real cores. Its gates are benches of code that is correct because
it holds locks: a detector that reports one of them is void for the subject.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from orchestrator.model.names import VARIANTS, nearest
from orchestrator.model.placement import PlacementError, check_placement
from orchestrator.model.units import UnitError, duration, in_words, kind

WORKLOAD = "race"
#: Of every subject that there is.
ALL = "all"


@dataclass(frozen=True)
class Detector:
    """``variant``: the build it runs in; ``share``: of the budget, before what is left out is shared out; ``stutter_ms``: how
    long its threads stand still at most, now and then; ``histories``: what its benches have recorded is judged."""

    name: str
    variant: str
    share: float
    stutter_ms: float = 0.0
    histories: bool = False

    @property
    def explores(self) -> bool:
        """It runs scenarios under the explorer, and not benches on real cores."""
        return self.variant == "explore"


DETECTORS: dict[str, Detector] = {
    "explore": Detector("explore", "explore", 0.5),
    "tsan": Detector("tsan", "tsan", 0.15),
    "asan": Detector("asan", "asan", 0.1),
    "noise": Detector("noise", "noise", 0.05),
    "stutter": Detector("stutter", "release", 0.05, stutter_ms=2.0),
    "poison": Detector("poison", "poison", 0.05),
    "plain": Detector("plain", "release", 0.05),
    "linearizability": Detector("linearizability", "release", 0.05, histories=True),
}


@dataclass(frozen=True)
class Bench:
    """A bench that puts a subject under load, and the settings that it is run with."""

    name: str
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Subject:
    """``sources``: beginnings of the paths below native/ that are its code; ``histories``: benches that record what they call."""

    benches: tuple[Bench, ...]
    gates: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    histories: tuple[Bench, ...] = ()


SUBJECTS: dict[str, Subject] = {
    "capability": Subject(
        (Bench("capability_churn", {"stall_ms": 0}),),
        ("baseline_churn",),
        ("kernel/capability", "include/capability"),
        (Bench("history_capability"),),
    ),
    "capability_cache": Subject(
        (Bench("kept_churn", {"stall_ms": 0}), Bench("column_churn")),
        ("baseline_churn",),
        (
            "kernel/capability_cache",
            "kernel/capability_kept",
            "kernel/capability_column",
            "kernel/capability_simd",
            "include/capability_cache",
            "include/capability_kept",
            "include/capability_simd",
        ),
    ),
    "reclaim": Subject(
        (Bench("capability_churn", {"stall_ms": 0, "capacity": 4096}),),
        ("baseline_churn",),
        ("kernel/reclaim", "include/reclaim"),
        (Bench("history_capability"),),
    ),
    "deque": Subject(
        (Bench("deque_steal", {"mode": "asymmetric"}), Bench("deque_steal", {"mode": "fenced"})),
        ("baseline_task_churn",),
        ("kernel/deque", "include/deque"),
        (Bench("history_deque", {"mode": "asymmetric"}), Bench("history_deque", {"mode": "fenced"})),
    ),
    "scheduler": Subject(
        (Bench("scheduler_churn"), Bench("scheduler_idle"), Bench("task_churn")),
        ("baseline_task_churn",),
        ("kernel/scheduler", "include/scheduler"),
        (Bench("history_queue"),),
    ),
    "pdac": Subject(
        (Bench("pdac_mix"), Bench("dag_tree")), ("baseline_task_churn",), ("kernel/pdac", "include/pdac")
    ),
    "guarded": Subject(
        (Bench("system_mix"),), ("baseline_system_mix",), ("kernel/guarded", "include/guarded")
    ),
    "tuning": Subject((Bench("tuned_mix"),), ("baseline_churn",), ("kernel/tuning", "include/tuning")),
}


def subjects_of_source(path: str) -> list[str]:
    """Whose code a file below native/ is, by the longest beginning that fits; every subject where none does, as of
    atomics.h."""
    fits = {
        name: max((len(s) for s in subject.sources if path.startswith(s)), default=0)
        for name, subject in SUBJECTS.items()
    }
    best = max(fits.values())
    return [name for name, length in fits.items() if length == best] if best else list(SUBJECTS)


def there() -> list[str]:
    """The detectors whose variant can be built."""
    return [name for name, detector in DETECTORS.items() if detector.variant in VARIANTS]


def stands_in(scenario: str) -> bool:
    """Whether it is the name of none, but stands for those of a file that does not compile, or of an explorer that cannot be built."""
    return not scenario or scenario.endswith(".c")


# -- what a job asks for ---------------------------------------------------------------------------------

STRATEGIES = ("rotate", "random", "pct2", "pct3", "pct4", "pos", "exhaustive")
#: Where the job does not say.
BUDGET = "10m"
#: What a job of another workload may say and this one works out itself.
NOT_ITS_OWN = ("matrix", "measure", "launches", "variant")


@dataclass(frozen=True)
class RaceSpec:
    """``budget_s``: wall-clock seconds on each host for the whole job. A subject that is not in SUBJECTS has scenarios
    in the explorer alone."""

    subjects: tuple[str, ...]
    detectors: tuple[str, ...]
    budget_s: float
    strategies: tuple[str, ...] = ("rotate",)
    placements: tuple[str, ...] = ("compact",)


def spec_of(settings: Mapping[str, Any], scenarios: Mapping[str, Sequence[str]] | None = None) -> RaceSpec:
    """``settings``: what stands under `with`, without anything wrong in it (`wrong_settings`).
    ``scenarios``: subject → its scenarios, as the explorer lists them."""
    known = list(dict.fromkeys([*SUBJECTS, *(scenarios or {})]))
    return RaceSpec(
        subjects=_chosen(settings.get("subjects", ALL), known),
        detectors=_chosen(settings.get("detectors", ALL), there()),
        budget_s=duration(settings.get("budget", BUDGET)),
        strategies=_chosen(settings.get("strategies", "rotate"), STRATEGIES),
        placements=tuple(_listed(settings.get("placements", "compact"))),
    )


#: What a launch costs beyond its window, sanitizers and reading of the journal included; one shorter than SHORTEST_S looks at nothing.
OVERHEAD_S = 0.5
SHORTEST_S = 0.2


def needed_s(counts: Mapping[str, int]) -> float:
    """The least budget. ``counts``: detector → its steps."""
    shares = sum(DETECTORS[name].share for name in counts)
    return max(
        (SHORTEST_S + OVERHEAD_S) * count * shares / DETECTORS[name].share for name, count in counts.items()
    )


def too_small(settings: Mapping[str, Any]) -> tuple[str, str, str] | None:
    """(setting, what is wrong, hint) where the budget is too little for what is known without asking the explorer, which would have to be built: at
    least one scenario for each subject. None too where something else is wrong."""
    if any(True for _ in wrong_settings(settings)):
        return None
    spec = spec_of(settings)
    known = [SUBJECTS[name] for name in spec.subjects if name in SUBJECTS]
    counts: dict[str, int] = {}
    for detector in (DETECTORS[name] for name in spec.detectors):
        benches = sum(len(s.histories if detector.histories else s.benches) for s in known)
        steps = len(known) * len(spec.strategies) if detector.explores else benches * len(spec.placements)
        if steps:
            counts[detector.name] = steps
    if not counts or spec.budget_s >= needed_s(counts):
        return None
    said = f"{in_words(spec.budget_s)} is too little for {sum(counts.values())} steps or more"
    return (
        "budget",
        said,
        f"at least {int(needed_s(counts)) + 1}s, or fewer subjects, detectors or strategies",
    )


def variants(settings: Mapping[str, Any]) -> list[str]:
    """What is built for a job with these settings."""
    chosen = _chosen(settings.get("detectors", ALL), there())
    return [DETECTORS[name].variant for name in chosen if name in DETECTORS]


_ONE = {"subjects": "subject", "detectors": "detector", "strategies": "strategy"}


def wrong_settings(
    settings: Mapping[str, Any], scenarios: Mapping[str, Sequence[str]] | None = None
) -> Iterator[tuple[str, str, str]]:
    """(setting, what is wrong, hint)"""
    subjects = None if scenarios is None else [*dict.fromkeys([*SUBJECTS, *scenarios])]
    for name, known in (("subjects", subjects), ("detectors", there()), ("strategies", list(STRATEGIES))):
        if name in settings:
            yield from _wrong_names(name, settings[name], known, one=_ONE[name])
    if "placements" in settings:
        yield from _wrong_names("placements", settings["placements"], None, one="placement")
        for one in filter(lambda v: isinstance(v, str), _listed(settings["placements"])):
            try:
                check_placement(one)
            except PlacementError as e:
                yield "placements", str(e), e.hint
    if "budget" in settings:
        try:
            if duration(settings["budget"]) <= 0:
                yield "budget", "no time at all", "such as 10m"
        except UnitError as e:
            yield "budget", str(e), e.hint


def _wrong_names(
    name: str, value: Any, known: Sequence[str] | None, one: str
) -> Iterator[tuple[str, str, str]]:
    listed = _listed(value)
    if not listed or not all(isinstance(v, str) for v in listed):
        yield (
            name,
            f"expected a name or a list of names, got {kind(value)}",
            f"{name}: [{(known or ['compact'])[0]}]",
        )
        return
    for v in listed:
        if known is not None and v != ALL and v not in known:
            yield name, f"unknown {one} {v!r}", nearest(v, [ALL, *known])
    if len(set(listed)) != len(listed):
        yield name, "a name is given twice", ""


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


def _chosen(value: Any, known: Mapping[str, Any] | Sequence[str]) -> tuple[str, ...]:
    listed = _listed(value)
    return tuple(known) if ALL in listed else tuple(listed)
