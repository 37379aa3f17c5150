"""`make setup` on a machine that lacks something: one exact command, exit 2, and nothing half done."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

#: what the script itself is made of; every Debian has these
SHELL = ("bash", "dirname", "mkdir", "flock", "tail", "rm", "cat", "sha256sum", "chmod")


@pytest.fixture
def bare(tmp_path: Path) -> tuple[Path, dict[str, str]]:
    """A tree with the set-up script, and an environment in which only SHELL can be found."""
    tree, programs = tmp_path / "tree", tmp_path / "bin"
    (tree / ".ci").mkdir(parents=True)
    for name in ("setup", "requirements.lock"):
        shutil.copy(ROOT / ".ci" / name, tree / ".ci" / name)
    programs.mkdir()
    for name in SHELL:
        found = shutil.which(name)
        assert found, name
        (programs / name).symlink_to(found)
    return tree, {"PATH": str(programs), "HOME": str(tmp_path)}


def setup(tree: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", tree / ".ci" / "setup"], env=environment, capture_output=True, text=True, timeout=240
    )


def test_without_a_way_to_install_the_one_command_is_printed(bare: tuple[Path, dict[str, str]]) -> None:
    tree, environment = bare
    done = setup(tree, environment)
    assert done.returncode == 2
    command = done.stderr.strip().splitlines()[-1].split("run: ")[1]
    assert command.startswith("sudo apt-get install -y ")
    assert {"gcc", "libc6-dev", "cmake", "make", "git"} <= set(command.split())
    assert not (tree / ".venv").exists()


def test_only_what_is_lacking_is_named(bare: tuple[Path, dict[str, str]]) -> None:
    tree, environment = bare
    for name in ("gcc", "git", "make", "unshare", "ssh-keygen"):
        found = shutil.which(name)
        assert found, name
        (Path(environment["PATH"]) / name).symlink_to(found)
    done = setup(tree, environment)
    assert done.returncode == 2
    packages = set(done.stderr.split("install -y ")[1].split())
    assert "cmake" in packages
    assert not packages & {"gcc", "git", "make", "util-linux", "openssh-client"}
