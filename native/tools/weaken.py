#!/usr/bin/env python3
"""Weakens every ordered operation of the kernel by one step, and drops every fence, one at a time, and lets the explorer look for it.

    weaken.py list                    what there is to weaken, one line each
    weaken.py check                   whether the table has a row for each of them, no other, a reason in each, and the scenarios that it names
    weaken.py survey [--only TEXT ...] [--by SCENARIO ...] [--seconds S] [--again] [--write]
                                      looks for each with the scenarios that reach it, for about S seconds of processor time each,
                                      and prints what became of it; --only: rows with that text alone; --again: those alone that
                                      were not killed before, `gap` first; --write: into the table
    weaken.py patch TEXT              the weakenings with that text, as patches

The table is docs/native/weakenings.md: per operation `killed` with the scenario and the seed that did it, `equivalent` with the proof,
or `gap` with the reason why nothing sees it: check refuses one of which a survey alone has said that it saw nothing. Verdicts and reasons that were
written by hand stay as long as their operation is not killed.

The sources are copied to native/build/weaken, and there each operation becomes a choice: it is as written, or weaker where its number
is the one in the environment's WEAKEN. So the scenarios are compiled once, and a row costs one process.
Exit status 0; 1 where the table is not whole; 2 for wrong usage or sources that do not build.
"""

from __future__ import annotations

import argparse
import difflib
import os
import re
import resource
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from weakenings import (
    DROPPED,
    NATIVE,
    NOBODY_THERE,
    NOTHING_SEEN,
    Row,
    Weakening,
    all_weakenings,
    check_table,
    read_table,
    write_table,
)

COPY = NATIVE / "build" / "weaken" / "native"
VARIANT = "release"
TIMEOUT = 900  # a thread without an end is for the explorer to see: who takes longer was not run to the end
FIRST_RUNS = 300  # of each scenario, before any of them gets many
REACH_RUNS = 2000
#: In front of everything else; the number of a weakening is its place in the list. WEAKEN=0 counts what is reached.
CHOICE = """
#ifdef ORCH_ATOMICS_BACKEND
#include <stdbool.h>
extern int weaken_site;
extern unsigned char weaken_reached[];
static inline bool weaken_here(int site) {
    weaken_reached[site] = 1;
    return site == weaken_site;
}
#define WEAKEN(site, weaker, door) (weaken_here(site) ? weaker : door)
#define WEAKEN_DROP(site, door) (weaken_here(site) ? (void)0 : (door))
#else
#define WEAKEN(site, weaker, door) door
#define WEAKEN_DROP(site, door) (door)
#endif
"""
STATE = """#include <stdio.h>
#include <stdlib.h>
int weaken_site;
unsigned char weaken_reached[4096];
__attribute__((constructor)) static void weaken_begin(void) {
    const char *text = getenv("WEAKEN");
    weaken_site = text != NULL ? atoi(text) : 0;
}
__attribute__((destructor)) static void weaken_end(void) {
    for (int i = 1; weaken_site == 0 && i < 4096; i++) {
        if (weaken_reached[i] != 0) {
            printf("reached %d\\n", i);
        }
    }
}
"""


class Unusable(Exception):
    """Sources that do not build, or words that name nothing."""


def end_of_call(text: str, opening: int) -> int:
    """Behind the parenthesis that closes the one at `opening`."""
    depth = 0
    for at in range(opening, len(text)):
        depth += {"(": 1, ")": -1}.get(text[at], 0)
        if depth == 0:
            return at + 1
    raise Unusable("a call that does not end")


# --- the sources with choices ---------------------------------------------------------------------------


def with_choices(text: str, here: list[tuple[int, Weakening]]) -> str:
    """The text of one source in which each of its doors is a choice."""
    by_start: dict[int, list[tuple[int, Weakening]]] = {}
    for number, weakening in here:
        by_start.setdefault(weakening.start, []).append((number, weakening))
    for start, choices in sorted(by_start.items(), reverse=True):
        end = choices[0][1].end
        made = choices[0][1].door
        for number, weakening in choices:
            if weakening.becomes == DROPPED:
                end = end_of_call(text, weakening.end)
                made = f"WEAKEN_DROP({number}, {text[start:end]})"
            else:
                made = f"WEAKEN({number}, {weakening.weaker}, {made})"
        text = text[:start] + made + text[end:]
    return text


def made_texts(weakenings: list[Weakening]) -> dict[Path, str]:
    """What differs in the copy."""
    numbered = list(enumerate(weakenings, start=1))
    texts: dict[Path, str] = {COPY / "kernel" / "weakened.c": STATE}
    for name in {weakening.file for weakening in weakenings}:
        here = [(number, weakening) for number, weakening in numbered if weakening.file == name]
        texts[COPY / name] = with_choices((NATIVE / name).read_text(), here)
    texts[COPY / "include" / "atomics.h"] = (NATIVE / "include" / "atomics.h").read_text() + CHOICE
    return texts


def make_copy(weakenings: list[Weakening]) -> None:
    """Times stay where nothing has changed, so that no more is compiled than must be."""
    texts = made_texts(weakenings)
    before = {path: (path.read_text(), path.stat().st_mtime) for path in texts if path.is_file()}
    for folder in COPY.iterdir() if COPY.exists() else []:
        if folder.name != "build":
            shutil.rmtree(folder) if folder.is_dir() else folder.unlink()
    skip = shutil.ignore_patterns("build", "mutants", "__pycache__")
    shutil.copytree(NATIVE, COPY, dirs_exist_ok=True, ignore=skip)
    for path, text in texts.items():
        path.write_text(text)
        if path in before and before[path][0] == text:
            os.utime(path, (before[path][1], before[path][1]))


def programs() -> list[str]:
    """The tests of the explorer, as the build names them."""
    explore = NATIVE / "explore"
    names = {f"test_explore_{path.stem.removeprefix('scenario_')}" for path in explore.glob("scenario_*.c")}
    return sorted(names)


def build(jobs: int) -> Path:
    """The folder with the programs."""
    commands = [
        ["cmake", "--preset", VARIANT, "-DORCH_WERROR=OFF"],
        ["cmake", "--build", "--preset", VARIANT, "--parallel", str(jobs), "--target", *programs()],
    ]
    for command in commands:
        done = subprocess.run(command, cwd=COPY, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise Unusable(f"does not build: {(done.stderr or done.stdout).strip()}")
    return COPY / "build" / VARIANT


# --- the survey -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Look:
    """A scenario that comes to an operation."""

    program: Path
    scenario: str
    runs_per_second: float  # of processor time, with the sources as they are


def run_program(program: Path, runs: int, site: int, scenario: str = "") -> tuple[int | None, str]:
    """Exit status and output; no status where it came to no end. Site 0: as written, and what is reached is said."""
    environment = {**os.environ, "WEAKEN": str(site)}
    words = [str(program), str(runs), "1", *([scenario] if scenario else [])]
    try:
        done = subprocess.run(
            words,
            env=environment,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
            errors="replace",
        )
    except subprocess.TimeoutExpired:
        return None, ""
    return done.returncode, done.stdout + done.stderr


def processor_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def reach(folder: Path) -> dict[int, list[Look]]:
    """Which scenarios come to which weakening; those of the fewest runs last."""
    found: dict[int, list[Look]] = {}
    for name in programs():
        listed = run_program(folder / name, 1, 0)[1]
        for scenario in re.findall(r"^ok (\w+):", listed, re.MULTILINE):
            before = processor_seconds()
            status, output = run_program(folder / name, REACH_RUNS, 0, scenario)
            if status != 0:
                raise Unusable(f"{name} reports the sources as they are: {output.strip()}")
            rate = REACH_RUNS / max(processor_seconds() - before, 0.001)
            for line in re.findall(r"^reached (\d+)$", output, re.MULTILINE):
                found.setdefault(int(line), []).append(Look(folder / name, scenario, rate))
    for looks in found.values():
        looks.sort(key=lambda look: -look.runs_per_second)
    return found


def judge(site: int, looks: list[Look], seconds: float) -> Row:
    """Looks for one with the scenarios that come to it: few runs of each first, then many."""
    if not looks:
        return Row("gap", NOBODY_THERE)
    seen: list[str] = []
    for first in (True, False):
        for look in looks:
            runs = FIRST_RUNS if first else max(FIRST_RUNS, round_down(look.runs_per_second * seconds))
            status, output = run_program(look.program, runs, site, look.scenario)
            if status is None:
                seen.append(f"{look.scenario} (no end)")
            elif status != 0:
                said = re.search(r"violation (.*?) \(scenario [\w ]+, seed (\d+)", output)
                if said is None:
                    return Row("killed", f"{look.scenario}: exit status {status}")
                return Row("killed", f"{look.scenario} {said.group(2)}: {shorten(said.group(1))}")
            elif not first:
                seen.append(f"{look.scenario} {runs}")
    return Row("gap", f"{NOTHING_SEEN} {', '.join(seen)} runs")


def round_down(runs: float) -> int:
    """To one figure: how many a second makes differs from day to day."""
    size = int("1" + "0" * (len(str(int(runs))) - 1))
    return int(runs) // size * size


def shorten(text: str) -> str:
    return re.sub(r"0x[0-9a-f]+", "…", text).replace("|", "∣")[:70]


def survey(weakenings: list[Weakening], options: argparse.Namespace) -> dict[str, Row]:
    """A row for each that was asked for."""
    known = read_table()
    make_copy(weakenings)
    folder = build(options.jobs)
    reached = reach(folder)
    chosen = []
    for site, weakening in enumerate(weakenings, start=1):
        wanted = not options.only or any(text in weakening.key for text in options.only)
        old = known.get(weakening.key)
        if wanted and not (options.again and old is not None and old.verdict == "killed"):
            chosen.append((site, weakening))
    rows: dict[str, Row] = {}
    chosen.sort(key=lambda one: known.get(one[1].key, Row("gap", "")).verdict != "gap")
    lookers = {
        site: [look for look in reached.get(site, []) if not options.by or look.scenario in options.by]
        for site, _ in chosen
    }
    with ThreadPoolExecutor(options.jobs) as pool:
        judged = pool.map(lambda one: judge(one[0], lookers[one[0]], options.seconds), chosen)
        for (_, weakening), found in zip(chosen, judged, strict=True):
            old = known.get(weakening.key)
            keeps = found.verdict == "gap" and old is not None and old.is_by_hand
            rows[weakening.key] = row = old if keeps and old is not None else found
            print(f"{weakening.key}: {row.verdict}: {row.why}", flush=True)
            if options.write:
                write_table(weakenings, {**known, **rows})
    return rows


# --- words ----------------------------------------------------------------------------------------------


def print_patches(weakenings: list[Weakening], text: str) -> None:
    """Each as a patch of its own."""
    chosen = [weakening for weakening in weakenings if text in weakening.key]
    if not chosen:
        raise Unusable(f"nothing to weaken has '{text}' in its name")
    for weakening in chosen:
        before = (NATIVE / weakening.file).read_text()
        if weakening.becomes == DROPPED:
            end = end_of_call(before, weakening.end)
            after = before[: weakening.start] + "(void)0" + before[end:]
        else:
            after = before[: weakening.start] + weakening.weaker + before[weakening.end :]
        name = f"native/{weakening.file}"
        sides = before.splitlines(keepends=True), after.splitlines(keepends=True)
        print(f"{weakening.key}\n" + "".join(difflib.unified_diff(*sides, f"a/{name}", f"b/{name}")), end="")


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="weakens every ordered operation, one at a time")
    parser.add_argument("what", choices=["list", "check", "survey", "patch"])
    parser.add_argument("text", nargs="?", default="", help="of the weakenings that patch prints")
    parser.add_argument(
        "--only", nargs="+", default=[], metavar="TEXT", help="weakenings with such a text alone"
    )
    parser.add_argument("--by", nargs="+", default=[], metavar="SCENARIO", help="these alone look")
    parser.add_argument(
        "--seconds", type=float, default=1.0, help="of processor time for each scenario and weakening"
    )
    parser.add_argument("--jobs", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--again", action="store_true", help="those alone that were not killed before")
    parser.add_argument("--write", action="store_true", help="puts the verdicts into the table")
    return parser.parse_args()


def main() -> int:
    """Does what the words say."""
    options = read_options()
    weakenings = all_weakenings()
    try:
        if options.what == "list":
            for weakening in weakenings:
                print(weakening.key)
        elif options.what == "check":
            return check_table(weakenings)
        elif options.what == "patch":
            print_patches(weakenings, options.text)
        else:
            survey(weakenings, options)
    except Unusable as error:
        print(f"weaken.py: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
