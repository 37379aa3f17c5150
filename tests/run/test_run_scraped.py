"""A real Prometheus scrapes a run while it goes on: from the run itself, and from somebody who looks on."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pytest
from orch_process import start, wait_for, write

pytestmark = [pytest.mark.ray, pytest.mark.native, pytest.mark.slow]


def endpoint(said: IO[str] | None) -> str:
    """ADDRESS:PORT, from the line that says so."""
    assert said is not None
    for line in said:
        found = re.search(r"metrics: http://(\S+)/metrics", line)
        if found:
            return found[1]
    raise AssertionError("it ended without a word about its metrics")


@contextmanager
def prometheus(folder: Path, *targets: str) -> Iterator[Path]:
    """A Prometheus that scrapes these; the file in which it says what it does."""
    program = shutil.which("prometheus")
    assert program, "run: make monitoring"
    config = {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s"},
        "scrape_configs": [{"job_name": "orch", "static_configs": [{"targets": list(targets)}]}],
    }
    # JSON is YAML
    file = write(folder, "prometheus.yml", json.dumps(config))
    words = [
        f"--config.file={file}",
        f"--storage.tsdb.path={folder / 'tsdb'}",
        "--web.listen-address=127.0.0.1:0",
    ]
    log = folder / "prometheus.log"
    with log.open("w") as out:
        process = subprocess.Popen([program, *words], stdout=out, stderr=out)
    try:
        yield log
    finally:
        process.terminate()
        process.wait(120)


def listening(log: Path) -> str:
    found = re.search(r"Listening on.*address=(127\.0\.0\.1:\d+)", log.read_text())
    return found[1] if found else ""


def query(address: str, expression: str) -> list[dict[str, Any]]:
    url = f"http://{address}/api/v1/query?{urllib.parse.urlencode({'query': expression})}"
    try:
        with urllib.request.urlopen(url, timeout=60) as answer:
            found: list[dict[str, Any]] = json.loads(answer.read())["data"]["result"]
            return found
    except urllib.error.URLError:
        return []  # not yet


def test_prometheus_reads_a_run_while_it_goes_on(tmp_path: Path) -> None:
    words: list[str | Path] = [
        "workload",
        "capability_churn",
        "--seconds",
        "900s",
        "--runs",
        tmp_path / "runs",
        "--metrics",
        "0",
    ]
    run = start("run", *words)
    looking: subprocess.Popen[str] | None = None
    try:
        first = endpoint(run.stderr)
        wait_for(lambda: list((tmp_path / "runs").glob("*/plan.json")))
        looking = start("watch", "last", "--runs", tmp_path / "runs", "--metrics", "0")
        second = endpoint(looking.stderr)
        with prometheus(tmp_path, first, second) as log:
            address = wait_for(lambda: listening(log))

            def of_both(expression: str) -> Any:
                return wait_for(lambda: (found := query(address, expression)) and len(found) == 2 and found)

            assert {m["metric"]["playbook"] for m in of_both("orch_run_info")} == {"capability_churn"}
            assert all(float(m["value"][1]) > 0 for m in of_both("orch_ops_per_second > 0"))
            assert {m["metric"]["host"] for m in of_both('orch_vital{vital="rss"}')} == {"local"}
            assert len(of_both('up{job="orch"} == 1')) == 2
            assert run.poll() is None, "it was scraped while it went on"
    finally:
        run.terminate()
        run.communicate(timeout=240)
        if looking is not None:
            looking.communicate(timeout=240)
    assert looking is not None
    assert looking.returncode == run.returncode == 130
