"""A run as one JSON object: the answer of `--json`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from orchestrator.model.outcome import Status
from orchestrator.report.words import verdict_line
from orchestrator.results.folder import RunFolder
from orchestrator.results.rebuild import Rebuilt


def summary(rebuilt: Rebuilt, folder: RunFolder) -> dict[str, Any]:
    """Verdict and counts, every host and step with status and reason, every finding. Only JSON types."""
    counts = {str(s): sum(o.status is s for o in rebuilt.outcomes) for s in Status}
    hosts = rebuilt.tables["hosts"]
    word, text = verdict_line(rebuilt)
    return {
        "run": rebuilt.run,
        "folder": str(folder.path),
        "playbook": rebuilt.plan.name,
        "seed": rebuilt.plan.seed,
        "verdict": str(rebuilt.verdict),
        "exit_code": rebuilt.exit_code,
        "interrupted": rebuilt.interrupted,
        "summary": f"{word} – {text}",
        "took_s": rebuilt.took_s,
        "cells": {"planned": len(rebuilt.outcomes), **counts},
        "hosts": [
            {
                "host": host,
                "status": status,
                "reason": reason,
                "emulated": None if emulated is None else emulated,
            }
            for host, status, reason, emulated in zip(
                hosts["host"], hosts["status"], hosts["reason"], _plain(hosts["emulated"]), strict=True
            )
        ],
        "steps": [{**asdict(o), "status": str(o.status)} for o in rebuilt.outcomes],
        "findings": [{**asdict(f), "verdict": str(f.verdict)} for f in rebuilt.findings],
    }


def _plain(column: Any) -> list[bool | None]:
    return [None if v is None else bool(v) for v in column.astype(object).where(column.notna(), None)]
