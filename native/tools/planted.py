"""Programs with a fault in them: compiled once for each variant, of that only what the patch reaches, and kept while there are trials left.

Also what a program is made from, as a digest: an answer holds for as long as that stays the same, whatever else changes in the tree.
"""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from check_mutants import HARNESS, NATIVE, Build, compile_changed, link, plant, run

OF_SUBJECT = re.compile(r'^EXPLORE_SCENARIOS\("(\w+)"', re.MULTILINE)
SCENARIO = "CMakeFiles/scenario_"
BENCH = re.compile(rf"CMakeFiles/{HARNESS}\.dir/harness/bench_(\w+)\.c")
LIBRARY = "orchkernel"
#: For scenarios with a fault in them: a run is the same, and what it takes is spent in the explorer itself, which is as it was; but they
#: are compiled in a sixth of the time, of which there is more than of finding.
QUICK = ("-O0", "-g0")


class Planted(Protocol):
    """What is known of a fault here. ``changed``: relative to native/."""

    @property
    def path(self) -> Path: ...
    @property
    def changed(self) -> list[str]: ...
    @property
    def digest(self) -> str: ...


@dataclass
class Programs:
    """``folder``: where they are; whoever comes later, or was broken off, finds them there."""

    folder: Path
    #: (folder of a build, objects) → their digest
    _digests: dict[tuple[Path, tuple[str, ...]], str] = field(default_factory=dict)

    def of(self, build: Build, fault: Planted) -> Path:
        """The harness of a variant with the fault in it. Raises Unusable where it does not apply, or does not build."""
        kept = self._kept(build, fault)
        if not kept.is_file():
            with tempfile.TemporaryDirectory(prefix="orch-mutant-") as folder:
                program = _built(build, fault, plant(fault, Path(folder)), Path(folder))
                kept.parent.mkdir(parents=True, exist_ok=True)
                # beside it, then renamed: nobody finds half a program
                half = kept.with_name(f"{kept.name}.{os.getpid()}")
                shutil.copy2(program, half)
                half.replace(kept)
        return kept

    def forget(self, build: Build, fault: Planted) -> None:
        self._kept(build, fault).unlink(missing_ok=True)

    def _kept(self, build: Build, fault: Planted) -> Path:
        return self.folder / f"{build.folder.name}-{self.made_of(build, all_objects(build))}-{fault.digest}"

    def made_of(self, build: Build, objects: Iterable[str]) -> str:
        """Of what these objects are made from and how; the same in any folder."""
        names = tuple(sorted(objects))
        if (build.folder, names) not in self._digests:
            digest = hashlib.sha256()
            for name in names:
                digest.update(" ".join(build.commands[name]).replace(f"{NATIVE}/", "").encode())
            sources = {path for name in names for path in build.made_from.get(name, ())}
            for path in sorted(path for path in sources if not path.startswith("build/")):
                digest.update(f"\0{path}\0".encode() + (NATIVE / path).read_bytes())
            self._digests[build.folder, names] = digest.hexdigest()[:16]
        return self._digests[build.folder, names]


def all_objects(build: Build) -> list[str]:
    scenarios = [name for name in build.commands if name.startswith(SCENARIO)]
    return [*build.objects(LIBRARY), *build.objects(HARNESS), *scenarios]


def objects_of(build: Build, subjects: set[str], benches: set[str]) -> list[str]:
    """What runs of these scenarios and benches are made from: without those of other subjects, and without other benches."""

    def reached(name: str) -> bool:
        bench = BENCH.match(name)
        if bench:
            return bench.group(1) in benches
        return not name.startswith(SCENARIO) or bool(subjects.intersection(subjects_in(name)))

    return [name for name in all_objects(build) if reached(name)]


def subjects_in(scenario: str) -> Sequence[str]:
    """``scenario``: an object; whose scenarios are in it."""
    source = NATIVE / "explore" / f"{scenario.split('/')[1].removesuffix('.dir')}.c"
    return OF_SUBJECT.findall(source.read_text())


def scenarios_over(build: Build, changed: set[str]) -> list[str]:
    """The subjects whose scenarios a change reaches: what is wrong below may show above alone."""
    reached = [
        n for n, made_from in build.made_from.items() if n.startswith(SCENARIO) and made_from & changed
    ]
    return [subject for name in reached for subject in subjects_in(name)]


# --- how one is built -----------------------------------------------------------------------------------


def _built(build: Build, fault: Planted, sources: Path, folder: Path) -> Path:
    """Objects of two variants have the same names."""
    own = folder / build.folder.name
    own.mkdir()
    (own / "native").symlink_to(sources, target_is_directory=True)
    if any(name.startswith(SCENARIO) for name in build.commands):
        return _link_explorer(build, set(fault.changed), own / "native")
    return link(build, HARNESS, set(fault.changed), own / "native")


def _link_explorer(build: Build, changed: set[str], sources: Path) -> Path:
    """Its scenarios are objects whose names are made local before they are linked (cmake/explore.cmake)."""
    scenarios = [name for name in build.commands if name.startswith(SCENARIO)]
    quick = {name: [*words, *QUICK] if name in scenarios else words for name, words in build.commands.items()}
    made = compile_changed(
        replace(build, commands=quick), [*scenarios, *build.objects(HARNESS)], changed, sources
    )
    local = {}
    for name in (n for n in scenarios if n in made):
        target = name.split("/")[1].removesuffix(".dir") + ".local.o"
        local[target] = sources.parent / target
        command = ["objcopy", "--keep-global-symbol=orch_none", str(made[name]), str(local[target])]
        run(command, build.folder, "objcopy")
    words = shlex.split((build.folder / "CMakeFiles" / f"{HARNESS}.dir" / "link.txt").read_text())
    words = [str(made.get(w) or local.get(Path(w).name) or w) for w in words]
    program = sources.parent / HARNESS
    words[words.index("-o") + 1] = str(program)
    run(words, build.folder, "does not link")
    return program
