"""The real harness, from the builds that the C tests have, too."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from harness_calls import PATIENCE_S, Harness, Said, read_records
from preset_builds import Harnesses


@pytest.fixture(scope="session")
def built() -> Mapping[str, Path]:
    """Variant → program, all from the real source tree."""
    return Harnesses()


@pytest.fixture(scope="session")
def harness(built: Mapping[str, Path]) -> Harness:
    """Run the harness of a variant with arguments to its end."""

    def call(*arguments: str, variant: str = "release") -> Said:
        done = subprocess.run(
            [str(built[variant]), *arguments], capture_output=True, text=True, timeout=PATIENCE_S
        )
        return Said(done.returncode, read_records(done.stdout), done.stderr)

    return call


@pytest.fixture(scope="session")
def listing(harness: Harness, built: Mapping[str, Path]) -> dict[str, Any]:
    done = subprocess.run(
        [str(built["release"]), "list", "--json"], capture_output=True, text=True, check=True
    )
    said: dict[str, Any] = json.loads(done.stdout)
    return said
