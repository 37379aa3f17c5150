#!/usr/bin/env python3
"""Runs clang-tidy over the native sources, several at a time, and only over those that changed.

    check_tidy.py [--jobs N] [--all] [FILE ...]        FILE: these alone; default: every .c file that the build compiles

What each is compiled with is taken from the build of the preset `clang`, which is configured first. A file without findings leaves a
stamp in build/tidy that names what was looked at: the file, what it includes, the settings, the flags and the version; --all looks
at every file again. Findings are printed once, also those of a header that many include. Exit status 0 without findings, 1 with some,
2 where clang-tidy or the build is missing.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import json
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

NATIVE = Path(__file__).resolve().parent.parent
TIDY = os.environ.get("CLANG_TIDY", "clang-tidy-16")
SETTINGS = NATIVE / ".clang-tidy"
BUILD = NATIVE / "build" / "clang"
STAMPS = NATIVE / "build" / "tidy"
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]+"([^"]+)"', re.MULTILINE)
FINDING = re.compile(r"^\S+:\d+:\d+: (?:warning|error): ")
PLAIN = ["-std=c17", "-D_GNU_SOURCE=", *(f"-I{NATIVE / name}" for name in ("include", "harness", "test"))]


class Unusable(Exception):
    """clang-tidy or the build is not there."""


def run(*command: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(command, cwd=NATIVE, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise Unusable(f"{command[0]} is not there: make setup installs it") from error


def compiled() -> dict[Path, list[str]]:
    """Each source that the build compiles, with the folders and definitions that it gets."""
    BUILD.parent.mkdir(exist_ok=True)
    with (BUILD.parent / ".clang.lock").open("w") as lock:  # as the tests take it: one builds there at a time
        fcntl.flock(lock, fcntl.LOCK_EX)
        for command in (
            ["cmake", "--preset", "clang"],
            ["cmake", "--build", "--preset", "clang", "--target", "build_id"],
        ):
            done = run(*command)
            if done.returncode != 0:
                raise Unusable(f"{' '.join(command)}: {done.stderr.strip()}")
    entries = json.loads((BUILD / "compile_commands.json").read_text())
    # Once each: over a file that is compiled for two programs, clang-tidy takes over what it believes from the first to the second.
    first = {entry["file"]: entry for entry in reversed(entries) if entry["file"].endswith(".c")}
    STAMPS.mkdir(parents=True, exist_ok=True)
    (STAMPS / "compile_commands.json").write_text(json.dumps(list(first.values())))
    return {Path(file): entry["command"].split() for file, entry in first.items()}


def included(path: Path, folders: list[Path], seen: dict[Path, bytes]) -> None:
    """Adds the file and what it includes in quotes, with their contents."""
    if path in seen:
        return
    seen[path] = path.read_bytes()
    for name in INCLUDE.findall(seen[path].decode(errors="replace")):
        for folder in (path.parent, *folders):
            candidate = (folder / name).resolve()
            if candidate.is_file():
                included(candidate, folders, seen)
                break


def key_of(path: Path, command: list[str], version: str) -> str:
    """What the outcome depends on."""
    folders = [Path(word[2:]) for word in command if word.startswith("-I")]
    files: dict[Path, bytes] = {}
    included(path, folders, files)
    digest = hashlib.sha256(version.encode() + SETTINGS.read_bytes() + " ".join(command).encode())
    for name in sorted(files):
        if name.name != "build_id.h":  # changes with every source of the tree
            digest.update(str(name).encode() + files[name])
    return digest.hexdigest()


def look(path: Path, command: list[str] | None) -> list[str]:
    """The findings in one file, each with its notes as one text."""
    words = [TIDY, "--quiet", f"--config-file={SETTINGS}"]
    words += [str(path), "--", *PLAIN] if command is None else ["-p", str(STAMPS), str(path)]
    done = run(*words)
    findings: list[str] = []
    for line in done.stdout.splitlines():
        if FINDING.match(line):
            findings.append(line)
        elif findings:
            findings[-1] += "\n" + line
    if done.returncode != 0 and not findings:
        findings.append(f"{path}: {done.stderr.strip()}")
    return findings


def judge(path: Path, command: list[str] | None, version: str, *, again: bool) -> list[str]:
    """The findings in one file; none at once where its stamp is current."""
    if command is None:
        return look(path, None)
    stamp = STAMPS / str(path.relative_to(NATIVE)).replace("/", ".")
    key = key_of(path, command, version)
    if not again and stamp.is_file() and stamp.read_text() == key:
        return []
    findings = look(path, command)
    if not findings:
        stamp.write_text(key)
    return findings


def main() -> int:
    """Looks at all files and prints what was found."""
    parser = argparse.ArgumentParser(description="runs clang-tidy over the native sources that changed")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--all", action="store_true", help="also those that did not change")
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE")
    options = parser.parse_args()
    findings: dict[str, None] = {}
    try:
        version = run(TIDY, "--version").stdout
        commands = compiled()
        files = [path.resolve() for path in options.files] or sorted(commands)
        with ThreadPoolExecutor(options.jobs) as pool:
            outcomes = pool.map(lambda p: judge(p, commands.get(p), version, again=options.all), files)
            for finding in (finding for outcome in outcomes for finding in outcome):
                if finding not in findings:
                    print(finding, flush=True)
                findings[finding] = None
    except Unusable as error:
        print(f"check_tidy.py: {error}", file=sys.stderr)
        return 2
    print(f"{len(files)} files, {len(findings)} findings", file=sys.stderr)
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
