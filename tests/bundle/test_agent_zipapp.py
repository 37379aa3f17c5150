from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import agents
from orchestrator.bundle.agent import agent_zipapp, pack

PACKAGE = Path(agents.__file__).parent


def test_the_same_sources_give_the_same_bytes_anywhere(tmp_path: Path) -> None:
    copy = tmp_path / "agents"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    for path in copy.rglob("*.py"):
        os.utime(path, (1e9, 1e9))
        path.chmod(0o600)
    assert pack(copy) == pack(PACKAGE)


def test_a_changed_source_gives_other_bytes(tmp_path: Path) -> None:
    shutil.copytree(PACKAGE, tmp_path / "agents", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "agents" / "facts.py").write_text("CHANGED = True\n")
    assert pack(tmp_path / "agents") != pack(PACKAGE)


def test_it_holds_the_package_and_a_start_and_nothing_else() -> None:
    with zipfile.ZipFile(io.BytesIO(pack(PACKAGE))) as archive:
        names = archive.namelist()
    assert names[0] == "__main__.py"
    assert names[1:] == sorted(names[1:])
    assert "agents/wire.py" in names
    assert all(name.endswith(".py") for name in names)


def test_it_is_kept_under_its_digest_and_written_once(cache: Path) -> None:
    first = agent_zipapp()
    before = first.stat()
    assert agent_zipapp() == first
    assert first.stat().st_mtime_ns == before.st_mtime_ns
    first.write_bytes(b"damaged")
    assert agent_zipapp().read_bytes() == pack(PACKAGE)


def test_python_runs_it(cache: Path) -> None:
    code = "import sys; sys.path.insert(0, sys.argv[1]); import agents.wire as w; print(w.__file__)"
    archive = agent_zipapp()
    done = subprocess.run(
        [sys.executable, "-I", "-c", code, str(archive)], capture_output=True, text=True, check=True, cwd="/"
    )
    assert done.stdout.strip() == f"{archive}/agents/wire.py"
