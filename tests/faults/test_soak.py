"""A short soak: whatever befalls four hosts and their controller every twenty seconds, what was planned is made, once, and nothing is left.
`python tests/faults/soak.py 60` is an hour of it."""

from __future__ import annotations

from pathlib import Path

import pytest
import soak
import soak_faults

from orchestrator.lab import rack

pytestmark = [pytest.mark.ray, pytest.mark.sshd]

#: of the faults in two minutes: freeze, cut, controller killed, raylet killed, agent killed, disk full
SEED = 2769


def test_the_same_seed_gives_the_same_faults_and_a_long_soak_has_all_of_them() -> None:
    hosts = ["h1", "h2"]
    hour = soak_faults.drawn(7, hosts, 3600.0)
    assert hour == soak_faults.drawn(7, hosts, 3600.0) != soak_faults.drawn(8, hosts, 3600.0)
    assert len(hour) == 60
    assert {draw.what for draw in hour} == set(soak_faults.TABLE)
    assert [draw.at for draw in hour] == sorted(draw.at for draw in hour)
    spared = soak_faults.drawn(7, hosts, 3600.0, spared=soak_faults.ENDS_SESSION)
    assert {draw.what for draw in spared} == set(soak_faults.TABLE) - soak_faults.ENDS_SESSION


@pytest.mark.slow
@pytest.mark.timeout(2400)
@pytest.mark.skipif(bool(rack.why_not()), reason=f"no rack here: {rack.why_not()}")
def test_what_was_planned_is_made_once_whatever_happens_meanwhile(tmp_path: Path) -> None:
    found = soak.soaked(tmp_path, soak.Asked(minutes=2.0, work=2.0, seed=SEED, every_s=20.0))
    print(found.text())
    assert found.holds, found.text()
