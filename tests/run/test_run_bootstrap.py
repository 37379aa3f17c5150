"""Four hosts from nothing to nodes of a cluster, with no way out of the lab but to each other."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from orch_process import endings, only_run, orch, table, write
from packaging.requirements import Requirement

from orchestrator.lab import rack

NAME = f"bootstrap{os.getpid()}"
HOSTS = ["h1", "h2", "h3", "h4"]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.ray,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(bool(rack.why_not()), reason=f"no rack here: {rack.why_not()}"),
]


@pytest.fixture
def inventory(tmp_path: Path) -> Iterator[Path]:
    """Hosts that know the system's Python and no Ray."""
    assert orch("lab", "up", NAME, "--hosts", "4").code == 0
    fleet = yaml.safe_load((Path(os.environ["ORCH_STATE"]) / "labs" / NAME / "inventory.yml").read_text())
    for host in fleet["hosts"].values():
        host.update(python="/usr/bin/python3", ray=True)
    yield write(tmp_path, "hosts.yml", yaml.safe_dump(fleet))
    assert orch("lab", "down", NAME).code == 0


def needed_by(name: str, found: dict[str, metadata.Distribution]) -> dict[str, metadata.Distribution]:
    distribution = metadata.distribution(name)
    key = distribution.metadata["Name"]
    if key not in found:
        found[key] = distribution
        for text in distribution.requires or ():
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                needed_by(requirement.name, found)
    return found


def as_wheel(distribution: metadata.Distribution, folder: Path) -> None:
    """What is installed here, packed again: nothing is fetched."""
    about = distribution.read_text("WHEEL") or ""
    tag = next(line.removeprefix("Tag: ") for line in about.splitlines() if line.startswith("Tag: "))
    name = distribution.metadata["Name"].replace("-", "_")
    path = folder / f"{name}-{distribution.version}-{tag}.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for file in distribution.files or ():
            if ".." not in file.parts and "__pycache__" not in file.parts:
                archive.write(str(distribution.locate_file(file)), str(file))


def test_four_hosts_get_all_that_they_need_from_the_controller_and_join(
    inventory: Path, tmp_path: Path
) -> None:
    routes = orch("lab", "exec", NAME, "controller", "--", "cat", "/proc/net/route").out.splitlines()[1:]
    assert routes
    assert all(line.split()[1] != "00000000" for line in routes), "there is a way out of the lab"
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    for distribution in needed_by("ray", {}).values():
        as_wheel(distribution, wheels)

    words = ["hosts", "bootstrap", "-i", str(inventory), "--wheelhouse", str(wheels), "--json"]
    first = orch(*words, timeout_s=900)
    assert first.code == 0, first.out + first.err
    made = {host["host"]: host for host in json.loads(first.out)["hosts"]}
    assert {name: host["made"] for name, host in made.items()} == dict.fromkeys(HOSTS, True)
    second = orch(*words, timeout_s=900)
    assert second.code == 0, second.out + second.err
    assert [(h["made"], h["bytes_sent"]) for h in json.loads(second.out)["hosts"]] == [(False, 0)] * 4

    job = {"name": "work", "workload": "command", "with": {"argv": ["true"]}}
    book = write(tmp_path, "book.yml", json.dumps({"orch": 1, "name": "boot", "jobs": [job]}))
    ran = orch("run", "playbook", book, "-i", inventory, "--runs", tmp_path / "runs", timeout_s=900)
    assert ran.code == 0, ran.err
    run = only_run(tmp_path / "runs")
    assert {status for status, _ in endings(run).values()} == {"passed"}
    events = table(run, "events")
    joined = [json.loads(data) for data in events["data"][events["kind"] == "node"]]
    # on a busy machine Ray may give up, and then a host is driven over SSH; that it has none is said in other words
    assert not [data for data in joined if "no Ray" in data["reason"]], joined
    released = orch("hosts", "release", "--sweep", "-i", inventory)
    assert released.out == "".join(f"{name}\tnothing was left\n" for name in HOSTS)
