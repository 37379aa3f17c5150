"""The agent as it is shipped: one file, any Python from 3.9 on, and a clear line on an older one."""

from __future__ import annotations

import ast
import functools
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import agents
from agents.bootstrap import BOOTSTRAP
from agents.wire import Facts, decode

if TYPE_CHECKING:
    from tests.agents.conftest import Host

SOURCES = sorted(Path(agents.__file__).parent.rglob("*.py"))


@functools.cache
def pythons() -> dict[tuple[int, int], str]:
    """Every Python that this machine has, by its version."""
    found = {sys.version_info[:2]: sys.executable}
    folders = [Path(p) for p in os.environ.get("PATH", "").split(":") if p]
    folders += sorted((Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions").glob("*/bin"))
    for folder in folders:
        for path in sorted(folder.glob("python[23].*")):
            match = re.fullmatch(r"python(\d)\.(\d+)", path.name)
            version = (int(match[1]), int(match[2])) if match else (0, 0)
            if match and version not in found and works(str(path), version):
                found[version] = str(path)
    return dict(sorted(found.items()))


def works(python: str, version: tuple[int, int]) -> bool:
    """A file of that name may be a stub for a version that is not installed."""
    code = "import sys; sys.stdout.write('%d.%d' % sys.version_info[:2])"
    try:
        done = subprocess.run([python, "-c", code], capture_output=True, timeout=240)
    except OSError:
        return False
    return done.stdout.decode() == f"{version[0]}.{version[1]}"


@pytest.fixture(scope="module")
def oldest() -> str:
    return next(p for v, p in pythons().items() if v >= (3, 9))


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: p.stem)
def test_sources_are_python_39(path: Path) -> None:
    ast.parse(path.read_text(), str(path), feature_version=(3, 9))


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: p.stem)
def test_annotations_are_never_evaluated_as_newer_python(path: Path) -> None:
    tree = ast.parse(path.read_text())
    uses = any(isinstance(n, (ast.AnnAssign, ast.arg)) and n.annotation for n in ast.walk(tree))
    future = any(isinstance(n, ast.ImportFrom) and n.module == "__future__" for n in tree.body)
    assert future or not uses


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: p.stem)
def test_only_the_standard_library_is_imported(path: Path) -> None:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {a.name.partition(".")[0] for a in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            names.add((node.module or "").partition(".")[0])
    assert names <= set(sys.stdlib_module_names) | {"agents"}


@pytest.mark.parametrize("name", ["__init__.py", "__main__.py", "bootstrap.py"])
def test_what_an_old_python_reads_first_parses_there(name: str) -> None:
    text = (Path(agents.__file__).parent / name).read_text()
    assert text.isascii()
    ast.parse(text, feature_version=(3, 4))


def test_the_oldest_python_compiles_and_runs_all_of_it(host: Host, oldest: str, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(Path(agents.__file__).parent, copy)
    compiled = subprocess.run(
        [oldest, "-W", "error", "-m", "compileall", "-q", "-f", str(copy)], capture_output=True
    )
    assert (compiled.returncode, compiled.stdout) == (0, b"")
    host.python = (oldest, "-I", "-W", "error")
    entries = host.run(host.order("seq", "3", vitals_every_s=0.1))
    assert [e.data["text"] for e in entries if e.kind == "output"] == ["1", "2", "3"]
    stopped = host.order("sleep", "600", memory_bytes=1 << 30, vitals_every_s=0.05)
    host.start(stopped)
    assert host.stop(stopped) == "ended"
    assert host.finish(stopped)[-1].data["reason"] == "stopped"
    facts = host.agent("facts")
    assert decode(Facts, json.loads(facts.stdout)).cpus
    assert len(json.loads(host.agent("status").stdout)["launches"]) == 2
    assert json.loads(host.agent("sweep", "--older-than", "0").stdout)["removed"]


def test_the_bootstrap_runs_the_archive_from_memory(host: Host, oldest: str) -> None:
    argv = [oldest, "-c", BOOTSTRAP, "facts", "--spool", str(host.spool)]
    done = subprocess.run(argv, input=host.archive.read_bytes(), capture_output=True, check=True)
    assert decode(Facts, json.loads(done.stdout)).cpus
    assert done.stderr == b""
    assert not host.spool.exists()


def test_the_bootstrap_passes_through_a_shell_as_it_is(host: Host) -> None:
    assert not set(BOOTSTRAP) & set("'\\$`\n!")
    line = f"{sys.executable} -c '{BOOTSTRAP}' nonsense"
    done = subprocess.run(["sh", "-c", line], input=host.archive.read_bytes(), capture_output=True)
    assert done.returncode == 2
    assert done.stderr.startswith(b"orch agent: expected one of")


def test_an_old_python_gets_one_clear_line(host: Host) -> None:
    """By the real ones where there are some; by this one that pretends, in any case."""
    pretend = "import sys; from collections import namedtuple; sys.version_info = (3, 7, 16)\n"
    run = f"import runpy; sys.argv = ['agent', 'facts']; runpy.run_path({str(host.archive)!r}, run_name='__main__')"
    ways = [[sys.executable, "-c", pretend + BOOTSTRAP], [sys.executable, "-c", pretend + run]]
    versions = ["3.7.16", "3.7.16"]
    for version, python in pythons().items():
        if version < (3, 9):
            ways += [[python, "-c", BOOTSTRAP, "facts"], [python, str(host.archive), "facts"]]
            versions += [f"{version[0]}.{version[1]}."] * 2
    for argv, version_text in zip(ways, versions, strict=True):
        done = subprocess.run(argv, input=host.archive.read_bytes(), capture_output=True)
        assert done.returncode == 6
        assert done.stderr.startswith(
            b"orch needs Python 3.9 or later on the host; this is " + version_text.encode()
        )
        assert done.stderr.count(b"\n") == 1
        assert done.stdout == b""
