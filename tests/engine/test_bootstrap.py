"""An environment on a host, from wheels alone: made whole or not at all, once, and refused where the wheels are for another host."""

from __future__ import annotations

import contextlib
import sys
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from agents import environment
from orchestrator.bundle.wheelhouse import Wheelhouse, wheelhouse
from orchestrator.cli.hosts import app
from orchestrator.engine.bootstrap import Ready, bootstrap
from orchestrator.errors import InputError, LinkError, RemoteFailed
from orchestrator.model.address import Address
from orchestrator.transport import open_link

pytestmark = pytest.mark.sshd


def wheel(folder: Path, name: str, needs: str = "", body: str = "") -> None:
    about = f"{name}-1.0.dist-info"
    requires = f"Requires-Dist: {needs}\n" if needs else ""
    with zipfile.ZipFile(folder / f"{name}-1.0-py3-none-any.whl", "w") as archive:
        archive.writestr(f"{name}/__init__.py", body)
        archive.writestr(
            f"{about}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n{requires}"
        )
        archive.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{about}/RECORD", "")


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    folder = tmp_path / "wheels"
    folder.mkdir()
    wheel(folder, "upper", needs="lower==1.0", body="import lower\nVALUE = lower.VALUE + 1\n")
    wheel(folder, "lower", body="VALUE = 41\n")
    return folder


def house_of(folder: Path) -> Wheelhouse:
    return wheelhouse(folder, ["upper==1.0"], ["upper"])


@pytest.fixture(params=["local", "ssh"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> Address:
    if request.param == "local":
        python = str(Path(sys.executable).resolve())
        return Address(name="here", local=True, python=python, spool=str(tmp_path / "spool"))
    made: Address = request.getfixturevalue("lab").address("h1", spool=str(tmp_path / "spool"))
    return made


def ready(address: Address, house: Wheelhouse) -> Ready:
    answer = bootstrap([address], house)[address.name]
    assert isinstance(answer, Ready), answer
    return answer


def failed(address: Address, house: Wheelhouse) -> LinkError:
    answer = bootstrap([address], house)[address.name]
    assert isinstance(answer, RemoteFailed), answer
    return answer


def test_an_environment_is_made_from_wheels_alone_and_the_second_time_nothing_is_sent(
    address: Address, wheels: Path
) -> None:
    first = ready(address, house_of(wheels))
    assert first.made
    assert first.bytes_sent > 0
    with contextlib.closing(open_link(address)) as link:
        done = link.run([f"{first.environment}/bin/python", "-c", "import upper; print(upper.VALUE)"])
    assert done.stdout == b"42\n"
    second = ready(address, house_of(wheels))
    assert (second.environment, second.made, second.bytes_sent) == (first.environment, False, 0)


def test_what_cannot_be_made_leaves_nothing(address: Address, wheels: Path) -> None:
    (wheels / "lower-1.0-py3-none-any.whl").unlink()
    error = failed(address, house_of(wheels))
    assert "no environment could be made" in error.what
    assert "lower" in error.what
    assert [p.name for p in Path(address.spool, "env").iterdir() if not p.name.endswith(".lock")] == []


def test_a_module_that_does_not_load_is_no_environment(address: Address, wheels: Path) -> None:
    wheel(wheels, "lower", body="raise ImportError('not on this host')\n")
    assert "not on this host" in failed(address, house_of(wheels)).what


@pytest.mark.parametrize("other", [{"python": "3.6"}, {"arch": "pdp11"}])
def test_wheels_for_another_host_are_not_sent(address: Address, wheels: Path, other: dict[str, Any]) -> None:
    error = failed(address, replace(house_of(wheels), **other))
    assert "the wheels are for" in error.what
    assert "driven over SSH" in error.hint
    assert not Path(address.spool).exists()


def test_what_a_host_lacks_is_said_before_anything_is_sent(
    address: Address, wheels: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    error = failed(replace(address, spool=str(tmp_path / "file" / "spool")), house_of(wheels))
    assert "is not writable" in error.what


def test_a_folder_that_is_not_all_there_is_refused_and_says_how_to_fill_it(
    wheels: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=r"has no wheel of absent 2\.0 .*pip download"):
        wheelhouse(wheels, ["upper==1.0", "absent==2.0"])
    with pytest.raises(InputError, match="is no folder"):
        wheelhouse(tmp_path / "none")
    asked = CliRunner().invoke(app, ["bootstrap", "--wheelhouse", str(wheels)])
    assert isinstance(asked.exception, InputError)
    assert "no wheel of ray" in str(asked.exception)


def test_the_key_names_what_it_is_made_from(wheels: Path) -> None:
    before = house_of(wheels).order()
    assert house_of(wheels).order() == before
    wheel(wheels, "lower", body="VALUE = 0\n")
    assert house_of(wheels).order()["key"] != before["key"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"key": "../../x"},
        {"uv": "sh"},
        {"wheels": {"../x.whl": "0" * 64}},
        {"wheels": {"x.whl": "../x"}},
        {"python": "2.7"},
        {"arch": "pdp11"},
    ],
)
def test_an_order_that_could_reach_outside_the_spool_is_refused(
    tmp_path: Path, wrong: dict[str, Any]
) -> None:
    good = {"key": "0" * 64, "uv": "0" * 64, "wheels": {}, "python": f"3.{sys.version_info[1]}", "arch": "x"}
    with pytest.raises(environment.Refused):
        environment.install(tmp_path / "spool", {**good, **wrong})
    assert not (tmp_path / "spool").exists()
