"""`pip install .` brings `orch`, the agent and a release harness that runs."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with this project installed, from a copy of the files that are or could be in git."""
    folder = tmp_path_factory.mktemp("installed")
    source = folder / "source"
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    for name in names:
        if name and (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, source / name)
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check"]
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        *options,
        "--target",
        str(folder / "site"),
        str(source),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=840, cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "site"


@pytest.mark.native
def test_the_installation_brings_a_release_harness_that_runs(installed: Path) -> None:
    harness = installed / "orchestrator" / "bundle" / "prebuilt" / "orch-harness"
    done = subprocess.run(
        [harness, "list", "--json"], capture_output=True, text=True, timeout=240, check=True
    )
    told = json.loads(done.stdout)
    assert told["variant"] == "release"
    assert "capability_check" in {b["name"] for b in told["benches"]}


@pytest.mark.native
def test_the_installed_orch_uses_its_harness_where_there_is_no_source(
    installed: Path, tmp_path: Path
) -> None:
    environment = {
        "PATH": "/usr/bin:/bin",
        "PYTHONPATH": str(installed),
        "ORCH_CACHE": str(tmp_path / "cache"),
    }
    command = [sys.executable, "-P", "-m", "orchestrator.cli.app", "bundle", "build", "--json"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["source"] == ""
    assert str(installed) in told["variants"][0]["file"]


@pytest.mark.native
def test_the_installation_brings_the_console_script_and_no_build_files(installed: Path) -> None:
    assert (installed / "bin" / "orch").is_file()
    assert {p.name for p in installed.iterdir() if p.is_dir()} - {"bin"} == {
        "agents",
        "orchestrator",
        "orch-0.1.0.dist-info",
    }
