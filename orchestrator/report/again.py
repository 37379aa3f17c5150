"""The command that carries out one step again, as it was: settings, threads, placement and seed."""

from __future__ import annotations

import json
import shlex
from typing import Any

from orchestrator.model.plan import StepPlan
from orchestrator.model.race import stands_in
from orchestrator.results.folder import RunFolder
from orchestrator.results.launch import Launch


def rerun_command(folder: RunFolder, step: StepPlan, launch: Launch | None = None) -> str:
    """For a shell. ``launch``: the one that failed, whose seed is taken."""
    if "scenario" in step.cell and stands_in(step.bench):
        return _subject_again(folder, step)
    name = step.bench or step.workload
    seed = step.seed if launch is None or launch.seed is None else launch.seed
    words = ["orch", "run", "workload", name, "--threads", str(step.threads), "--placement", step.placement]
    if step.mem not in ("", "local") and step.placement != "remote":
        words += ["--mem", step.mem]
    if step.seconds:
        words += ["--seconds", f"{step.seconds:g}s", "--warmup", f"{step.warmup_s:g}s"]
    if step.variant not in ("", "release"):
        words += ["--variant", step.variant]
    words += ["--seed", str(seed)]
    for key, value in sorted(step.settings.items()):
        if key != "bench":
            words += ["--set", f"{key}={_text(value)}"]
    return shlex.join([*words, *_there(folder, step)])


def _subject_again(folder: RunFolder, step: StepPlan) -> str:
    """Of scenarios whose names nobody knows: of all that the subject has then."""
    words = ["orch", "race", "explore", str(step.cell["subject"]), "--detector", "explore"]
    words += ["--strategy", str(step.cell.get("strategy", "rotate"))]
    return shlex.join([*words, *_there(folder, step)])


def _there(folder: RunFolder, step: StepPlan) -> list[str]:
    inventory = folder.path / "inventory.yml"
    return ["-i", str(inventory), "--limit", step.host] if inventory.is_file() else []


def _text(value: Any) -> str:
    """As `--set` reads it: JSON where that is what it says, else the bare word."""
    if not isinstance(value, str):
        return json.dumps(value)
    try:
        json.loads(value)
    except ValueError:
        return value
    return json.dumps(value)
