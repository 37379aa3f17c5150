"""Where a run is told besides the terminal: an endpoint for Prometheus and a web address for events."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from orchestrator.cli.progress import Progress

Metrics = Annotated[
    str | None,
    typer.Option(
        envvar="ORCH_METRICS",
        help="PORT or ADDRESS:PORT where Prometheus may ask for figures meanwhile. A port alone listens on 127.0.0.1.",
    ),
]


@contextlib.contextmanager
def outlets(shown: Progress, metrics: str | None) -> Iterator[None]:
    """As long as the run goes on. Raises InputError before anything has begun, for an address that will not do."""
    from orchestrator.report.webhook import VARIABLE

    with contextlib.ExitStack() as stack:
        url = os.environ.get(VARIABLE)
        if url:
            stack.enter_context(_webhook(shown, url))
        if metrics is not None:
            from orchestrator.report.openmetrics import Endpoint

            endpoint = Endpoint(shown, metrics)
            stack.callback(endpoint.close)
            shown.say(f"metrics: {endpoint.url}")
        yield


@contextlib.contextmanager
def _webhook(shown: Progress, url: str) -> Iterator[None]:
    from orchestrator.report.webhook import VARIABLE, Webhook

    hook = Webhook(url)
    shown.listeners.append(hook.tell)
    try:
        yield
    finally:
        hook.close()
        if hook.trouble:
            shown.say(f"{VARIABLE}: not everything could be told: {hook.trouble}")
