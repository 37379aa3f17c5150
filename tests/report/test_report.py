from __future__ import annotations

import dataclasses
import io
import shlex
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
import run_folders as rf

from agents.wire import LEFT_OUT
from orchestrator.report.again import rerun_command
from orchestrator.report.figures import figures
from orchestrator.report.junit import junit_xml
from orchestrator.report.summary import summary
from orchestrator.report.terminal import console_for, render
from orchestrator.report.words import duration, quantity, verdict_line
from orchestrator.results.folder import RunFolder
from orchestrator.results.rebuild import Rebuilt, rebuild


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def show(
    folder: RunFolder, rebuilt: Rebuilt, out: io.StringIO | None = None, width: int | None = None
) -> str:
    out = io.StringIO() if out is None else out
    render(rebuilt, folder, console_for(out, width))
    return out.getvalue()


def scaling_steps(host: str = "h1") -> list[Any]:
    cells = [(b, t) for t in (1, 2, 64) for b in ("capability_check", "baseline_check")]
    return [
        rf.step(
            "scaling",
            n,
            host,
            cell={"bench": b, "threads": t},
            bench=b,
            threads=t,
            skip="64 threads on 4 CPUs" if t == 64 else "",
        )
        for n, (b, t) in enumerate(cells)
    ]


def mixed(root: Path) -> tuple[RunFolder, Rebuilt]:
    """h1 complete, h2 with a violation in churn, h3 lost."""
    steps = [s for h in ("h1", "h2", "h3") for s in scaling_steps(h)]
    churn = rf.step(
        "churn", 0, "h2", bench="capability_churn", settings={"ids": 64, "mix": "a b", "text": "5"}
    )
    jobs = [rf.job("scaling", judges=[rf.judge("scaling", metric="ops_per_second")]), rf.job("churn")]
    builder = rf.Builder.make(root, rf.plan([*steps, churn], jobs))
    for step in steps:
        if step.host == "h3" and not step.skip:
            builder.say("step_lost", step, "connection refused")
        elif not step.skip:
            rate = (5e8 if step.bench == "capability_check" else 1e8) * step.threads
            builder.passed(step, [rate * f for f in (0.99, 1.0, 1.01)])
    records = [
        rf.hello(churn),
        rf.violation("C1", "[red]cap 7\x1b[2J"),
        rf.result(status="violated", violations=1),
    ]
    builder.launch(churn, rf.launch_entries(churn, 0, records, rf.ended(exit=1))).say("step_done", churn)
    builder.note("host", {"host": "h3", "status": "lost", "reason": "connection refused"})
    folder = builder.finish()
    return folder, rebuild(folder)


def clean_run(root: Path) -> tuple[RunFolder, Rebuilt]:
    step = rf.step()
    folder = rf.Builder.make(root, rf.plan([step])).passed(step, [1e6] * 3).finish()
    return folder, rebuild(folder)


def test_the_verdict_comes_first_and_names_what_broke_where(tmp_path: Path) -> None:
    lines = show(*mixed(tmp_path)).splitlines()
    assert lines[0].startswith("run ")
    assert lines[3].startswith("VIOLATED – C1 broken on h2")
    assert "9 of 19 planned cells ran, 1 failed, 4 lost, 6 skipped" in lines[3]


def test_a_clean_run_says_what_it_is_worth(tmp_path: Path) -> None:
    word, text = verdict_line(clean_run(tmp_path)[1])
    assert word == "HOLDS"
    assert text.startswith("1 of 1 planned cells ran; C1, C5 held in 3 launches")
    assert "per operation" in text


def test_a_lost_host_is_unknown_with_the_denominator(tmp_path: Path) -> None:
    steps = [rf.step(), rf.step(host="h2")]
    builder = rf.Builder.make(tmp_path, rf.plan(steps)).passed(steps[0]).say("step_lost", steps[1], "gone")
    assert verdict_line(rebuild(builder.finish())) == ("UNKNOWN", "1 of 2 planned cells ran, 1 lost")


def test_a_stopped_and_an_interrupted_run_say_so(tmp_path: Path) -> None:
    steps = [rf.step(), rf.step(number=1)]
    stopped = rf.Builder.make(tmp_path, rf.plan(steps), "a").passed(steps[0])
    assert verdict_line(rebuild(stopped.say("step_stopped", steps[1], "too hot").finish()))[0] == "STOPPED"
    cut = rf.Builder.make(tmp_path, rf.plan(steps), "b").passed(steps[0])
    word, text = verdict_line(rebuild(cut.finish(interrupted=True)))
    assert word == "INTERRUPTED"
    assert "1 of 2 planned cells ran" in text


def test_resume_is_offered_for_what_it_would_make(tmp_path: Path) -> None:
    steps = [rf.step(), rf.step(host="h2")]
    lost = rf.Builder.make(tmp_path, rf.plan(steps), "a").passed(steps[0]).say("step_lost", steps[1], "gone")
    folder = lost.finish()
    assert f"orch resume {folder.id}" in show(folder, rebuild(folder))
    over = rf.Builder.make(tmp_path, rf.plan(steps), "b").passed(steps[0]).say("step_lost", steps[1], "gone")
    over.note("stop", {"job": steps[1].job, "host": "h1", "reason": "enough", "verdict": "holds"})
    folder = over.finish()
    assert "orch resume" not in show(folder, rebuild(folder))


def test_a_failure_shows_where_to_look_and_how_to_run_it_again(tmp_path: Path) -> None:
    folder, rebuilt = mixed(tmp_path)
    text = show(folder, rebuilt)
    assert str(folder.journal("h2", "churn-0000@h2")) in text
    again = next(x for x in text.splitlines() if "again:" in x).split("again: ")[1]
    words = shlex.split(again)
    assert words[:4] == ["orch", "run", "workload", "capability_churn"]
    assert words[words.index("--seed") + 1] == "1000"
    assert [words[n + 1] for n, w in enumerate(words) if w == "--set"] == ["ids=64", "mix=a b", 'text="5"']


def test_the_rerun_names_host_variant_and_memory_where_they_are_not_the_usual(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.write("inventory.yml", "hosts: {}")
    words = shlex.split(rerun_command(folder, rf.step(variant="tsan", mem="node:1", host="h9")))
    assert words[words.index("--variant") + 1] == "tsan"
    assert words[words.index("--mem") + 1] == "node:1"
    assert words[words.index("--limit") + 1] == "h9"


def test_the_scaling_table_has_median_interval_speedup_and_ratio_per_host(tmp_path: Path) -> None:
    folder, rebuilt = mixed(tmp_path)
    text = show(folder, rebuilt)
    assert "scaling on h1, ops_per_second" in text
    assert text.count("with fewer than 6 launches ± promises too much") == 2
    row = next(x.split() for x in text.splitlines() if x.split()[:2] == ["2", "capability_check"])
    assert row == ["2", "capability_check", "1", "G/s", "1.0%", "3", "2.00×", "1.00", "5.00×"]
    assert [f.host for f in figures(rebuilt, 8)[0] if f.job == "scaling"] == ["h1", "h2"]


def test_of_many_hosts_some_are_shown_and_the_others_counted(tmp_path: Path) -> None:
    shown, left = figures(mixed(tmp_path)[1], 1)
    assert ([f.host for f in shown], left) == (["h1"], 1)


def test_skipped_cells_are_summed_up_by_reason_and_lost_hosts_named(tmp_path: Path) -> None:
    text = show(*mixed(tmp_path))
    assert "  6 × 64 threads on 4 CPUs" in text
    assert "Lost hosts (1 of 3)" in text
    assert "  h3: connection refused" in text


def test_what_a_program_printed_cannot_steer_the_terminal(tmp_path: Path) -> None:
    text = show(*mixed(tmp_path))
    assert "[red]cap 7" in text
    assert "\x1b" not in text


def test_a_pipe_gets_plain_text_with_one_line_per_fact(tmp_path: Path) -> None:
    text = show(*mixed(tmp_path))
    assert max(map(len, text.splitlines())) > 120
    assert not set("━─│┃") & set(text)


def test_a_terminal_gets_colour_and_its_own_width(tmp_path: Path) -> None:
    text = show(*mixed(tmp_path), Terminal(), 70)
    assert "\x1b[1;31mVIOLATED" in text


def test_no_color_is_honoured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    text = show(*mixed(tmp_path), Terminal(), 70)
    assert "\x1b[1;31m" not in text
    assert "31m" not in text.replace("\x1b[1m", "")
    assert max(map(len, text.replace("\x1b[1m", "").replace("\x1b[0m", "").splitlines())) <= 70


def test_a_journal_that_had_no_room_for_all_is_said_with_what_to_do(tmp_path: Path) -> None:
    step = rf.step()
    builder = rf.Builder.make(tmp_path, rf.plan([step]))
    entries = rf.launch_entries(step)
    note = {"text": f"7 intervals and vital signs {LEFT_OUT}"}
    last = entries[-1]
    told = [
        *entries[:-1],
        dataclasses.replace(last, kind="note", data=note),
        dataclasses.replace(last, seq=last.seq + 1),
    ]
    folder = builder.launch(step, told).say("step_done", step).finish()
    said = " ".join(show(folder, rebuild(folder)).split())
    assert (
        "7 intervals and vital signs were left out of the journal: limits: {journal: …} of the job gives it more room"
        in said
    )


def test_oddities_are_shown(tmp_path: Path) -> None:
    step = dataclasses.replace(rf.step(), workload="command")
    builder = rf.Builder.make(tmp_path, rf.plan([step]))
    builder.launch(step, rf.launch_entries(step, output=["debug"])).say("step_done", step)
    folder = builder.finish()
    assert "printed 1 line(s) that are no records" in show(folder, rebuild(folder))


def test_the_summary_has_every_step_and_the_verdict(tmp_path: Path) -> None:
    folder, rebuilt = mixed(tmp_path)
    said = summary(rebuilt, folder)
    assert (said["verdict"], said["exit_code"]) == ("violated", 1)
    assert [s["step"] for s in said["steps"]] == [s.id for s in rebuilt.plan.steps]
    assert said["cells"] == {
        "planned": 19,
        "passed": 8,
        "failed": 1,
        "stopped": 0,
        "lost": 4,
        "invalid": 0,
        "skipped": 6,
    }
    assert {h["host"]: h["status"] for h in said["hosts"]} == {"h1": "ok", "h2": "ok", "h3": "lost"}


# -- JUnit -----------------------------------------------------------------------------------------


def test_junit_has_one_case_per_planned_step_with_its_reason(tmp_path: Path) -> None:
    rebuilt = mixed(tmp_path)[1]
    root = ET.fromstring(junit_xml(rebuilt))
    cases = {str(c.get("name")): c for c in root.iter("testcase")}
    assert list(cases) == [
        s.id for s in sorted(rebuilt.plan.steps, key=lambda s: rebuilt.plan.hosts.index(s.host))
    ]
    told = {name: [e for e in case if e.tag != "properties"] for name, case in cases.items()}
    assert [e.tag for e in told["churn-0000@h2"]] == ["failure"]
    assert "C1" in str(told["churn-0000@h2"][0].get("message"))
    assert [e.tag for e in told["scaling-0000@h3"]] == ["error"]
    assert [e.tag for e in told["scaling-0004@h1"]] == ["skipped"]
    assert told["scaling-0000@h1"] == []


def test_junit_counts_add_up_and_carry_seed_and_build(tmp_path: Path) -> None:
    root = ET.fromstring(junit_xml(mixed(tmp_path)[1]))
    assert (root.get("tests"), root.get("failures"), root.get("errors"), root.get("skipped")) == (
        "19",
        "1",
        "4",
        "6",
    )
    suites = root.findall("testsuite")
    assert [s.get("hostname") for s in suites] == ["h1", "h2", "h3"]
    assert sum(int(str(s.get("tests"))) for s in suites) == 19
    case = next(c for c in root.iter("testcase") if c.get("name") == "scaling-0000@h1")
    values = {str(p.get("name")): p.get("value") for p in case.iter("property")}
    assert (values["seed"], values["build"], values["threads"]) == ("1000", rf.BUILD, "1")


def test_junit_is_valid_xml_whatever_a_program_printed(tmp_path: Path) -> None:
    step = rf.step()
    hostile = "<b> & \x00\x1b\x0b ]]> \ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16")
    records = [rf.hello(step), rf.violation("C1", hostile), rf.result(status="violated", violations=1)]
    builder = rf.Builder.make(tmp_path, rf.plan([step]))
    builder.launch(step, rf.launch_entries(step, 0, records, rf.ended(exit=1))).say("step_done", step)
    failure = next(ET.fromstring(junit_xml(rebuild(builder.finish()))).iter("failure"))
    assert "<b> & " in str(failure.text)


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (12345678, "1/s", "12.35 M/s"),
        (2e9, "1/s", "2 G/s"),
        (1.64, "ns", "1.64 ns"),
        (7, "1", "7"),
        (5, "1/s", "5 /s"),
    ],
)
def test_a_quantity_is_told_in_its_unit(value: float, unit: str, text: str) -> None:
    assert quantity(value, unit) == text


@pytest.mark.parametrize(("seconds", "text"), [(1.25, "1.2 s"), (61, "1 min 1 s"), (7260, "2 h 1 min")])
def test_a_duration_is_told_in_words(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_one_cause_of_many_failures_is_told_once_and_the_verdict_stays_short(tmp_path: Path) -> None:
    steps = [rf.step(number=n) for n in range(3)]
    builder = rf.Builder.make(tmp_path, rf.plan(steps))
    for step in steps:
        builder.say("step_failed", step, "cannot be built: " + "undefined reference " * 40)
    folder = builder.finish()
    text = show(folder, rebuild(folder))
    assert text.count("undefined reference " * 30) == 1
    assert text.count("again: ") == 3
    verdict = next(line for line in text.splitlines() if line.startswith("VIOLATED"))
    assert len(verdict) < 400
    assert verdict.endswith("0 of 3 planned cells ran, 3 failed")


def test_a_history_that_cannot_have_happened_is_drawn_below_its_finding(tmp_path: Path) -> None:
    step = rf.step("lin", bench="history_deque")
    builder = rf.Builder.make(
        tmp_path, rf.plan([step], [rf.job("lin", judges=[rf.judge("linearizability")])])
    )
    push = {"t": 0, "op": "push", "obj": 0, "arg": [1], "ret": None, "inv": 0, "res": 10}
    pop = {"t": 0, "op": "pop", "obj": 0, "arg": None, "ret": None, "inv": 20, "res": 30}
    window = {"type": "history", "spec": "deque", "window": 0, "ops": [push, pop], "last": True}
    good = rf.good_records(step)
    builder.launch(step, rf.launch_entries(step, 0, [*good[:-1], window, good[-1]]))
    folder = builder.say("step_done", step).finish()
    text = show(folder, rebuild(folder), width=200)
    assert "linearizability, lin deque: 1 of 1 windows with 2 calls are not linearizable" in text
    drawn = [line.split() for line in text.splitlines() if "┌" in line or "└" in line]
    assert drawn == [["0", "┌", "push([1])"], ["10", "└", "–"], ["20", "┌", "pop()"], ["30", "└", "–"]]


def test_what_could_not_be_explored_is_had_again_by_its_subject(tmp_path: Path) -> None:
    cell = {"detector": "explore", "subject": "mine", "scenario": "scenario_mine.c", "strategy": "pct2"}
    step = rf.step("races", 0, workload="race", cell=cell, bench="scenario_mine.c", variant="explore")
    folder = rf.Builder.make(tmp_path, rf.plan([step])).finish()
    assert rerun_command(folder, step).startswith("orch race explore mine --detector explore --strategy pct2")
