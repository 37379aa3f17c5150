"""Programs of others on the main path: their steps are planned, measured, judged and reported as any other."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from orch_process import orch

pytestmark = pytest.mark.ray

PLAYBOOK = r"""
orch: 1
name: third
jobs:
  - name: neighbours
    workload: stress_ng
    with: {stressors: {cpu: 1}, seconds: 1}
    judge: [{exposure: {}}]
  - name: wake
    workload: cyclictest
    placement: none
    measure: {seconds: 1s}
  - name: figures
    workload: command
    with: {argv: [echo, rate=7], metrics: {rate: {regex: 'rate=(\S+)', unit: 1/s}}}
  - name: vexed
    workload: command
    with: {argv: [sleep, 4]}
    nemesis: [{jitter: {every: 1s, for: 1s}}]
"""

WRONG = """
orch: 1
name: wrong
jobs:
  - {name: a, workload: stress_ng, with: {stressors: {cpu: -1}, seconds: 2}, measure: {seconds: 3s}}
  - {name: b, workload: stress_ng, with: {stressors: [cpu]}}
  - {name: c, workload: cyclictest, with: {priority: 300, interval: 5ms, seconds: 1}}
  - {name: d, workload: command, with: {argv: [sh], exits: [2000], metrics: {rate: rate=}}}
"""


def test_steps_of_other_programs_end_as_any_other(tmp_path: Path) -> None:
    (tmp_path / "p.yml").write_text(PLAYBOOK)
    done = orch("run", "playbook", tmp_path / "p.yml", "--runs", tmp_path / "runs")
    assert done.code == 0, done.err + done.out
    assert "4 of 4 planned cells ran" in done.out
    (folder,) = (tmp_path / "runs").iterdir()
    samples = pd.read_parquet(folder / "tables" / "samples.parquet")
    assert {"neighbours", "wake", "figures"} == set(samples["job"])
    assert samples[samples["metric"] == "rate"]["value"].tolist() == [7.0]
    latencies = pd.read_parquet(folder / "tables" / "latencies.parquet")
    assert latencies["metric"].tolist() == ["latency"]
    events = pd.read_parquet(folder / "tables" / "events.parquet")
    faults = events[events["kind"] == "nemesis"]
    assert set(faults["job"]) == {"vexed"}
    assert faults["text"].tolist()[0] == "begin: jitter for 1 s"
    steps = pd.read_parquet(folder / "tables" / "steps.parquet")
    assert steps["status"].tolist() == ["passed"] * 4


def test_what_is_wrong_with_their_settings_is_said_before_anything_runs(tmp_path: Path) -> None:
    (tmp_path / "p.yml").write_text(WRONG)
    done = orch("check", tmp_path / "p.yml")
    assert done.code == 2
    said = done.out + done.err
    for words in (
        "jobs[0].with.stressors: cpu: expected how many processes",
        "jobs[0].with.seconds: measure.seconds says it, too",
        "jobs[1].measure.seconds: how long is a launch?",
        "jobs[1].with.stressors: expected names, each with its value, got a list",
        "jobs[2].with.priority: expected a whole number from 0 to 99",
        "jobs[2].with.interval: expected a whole number",
        "jobs[3].with.exits: expected a list of exit statuses",
        "jobs[3].with.metrics: rate: no group ( ) says which part is the value",
    ):
        assert words in said
