"""`orch bundle`: the native harness, built, listed and verified."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.errors import EXIT_VIOLATED

if TYPE_CHECKING:
    from orchestrator.bundle.manifest import Bench, Bundle

app = typer.Typer(help="The native harness: build it, list its benches, verify it.", no_args_is_help=True)

_Source = Annotated[
    Path | None,
    typer.Option("--source", help="Native source tree. Default: ./native, else the installed one."),
]
_Variants = Annotated[
    list[str] | None,
    typer.Option(
        "--variant",
        help="release, noise, poison, asan, tsan, peers or explore; may be repeated. Default: release.",
    ),
]
_Json = Annotated[bool, typer.Option("--json", help="Answer in JSON.")]


@app.command("build")
def build_command(source: _Source = None, variant: _Variants = None, json: _Json = False) -> None:
    """Build the variants that are not built yet, and say where they are. Exit 1 where one is built without some scenarios, which do
    not compile."""
    bundle = _build(source, variant)
    for left in bundle.left_out:
        typer.echo(f"orch: {left.told}; it is left out", err=True)
    if json:
        typer.echo(bundle.to_json(), nl=False)
    else:
        _echo_bundle(bundle)
    if bundle.left_out:
        raise typer.Exit(EXIT_VIOLATED)


def _echo_bundle(bundle: Bundle) -> None:
    typer.echo(f"build {bundle.digest}  {bundle.source or 'as installed'}  {bundle.compiler}")
    for v in bundle.variants:
        needs = "static" if v.static else f"glibc {v.glibc} or later"
        typer.echo(f"{v.name:8} {v.size:>9} bytes  {v.machine}, {needs}  {v.file}")


@app.command("list")
def list_command(source: _Source = None, json: _Json = False) -> None:
    """The benches and their settings."""
    from orchestrator.bundle.build import catalogue, default_source

    benches = catalogue(source or default_source())
    if json:
        _echo_json([_bench_json(b) for b in benches])
        return
    for bench in benches:
        _echo_bench(bench)


@app.command("verify")
def verify_command(source: _Source = None, variant: _Variants = None, json: _Json = False) -> None:
    """Check the built files against digest, source and what they say of themselves. Exit 1 if one is wrong."""
    from orchestrator.bundle.build import verify

    bundle = _build(source, variant)
    wrong = verify(bundle)
    if json:
        _echo_json({"digest": bundle.digest, "good": not wrong, "wrong": wrong})
    else:
        for line in wrong:
            typer.echo(line)
        if not wrong:
            names = ", ".join(v.name for v in bundle.variants)
            typer.echo(f"build {bundle.digest}: {names} as they should be")
    if wrong:
        raise typer.Exit(EXIT_VIOLATED)


def _build(source: Path | None, variants: list[str] | None) -> Bundle:
    from orchestrator.bundle.build import build, default_source

    return build(source or default_source(), variants or ["release"])


def _bench_json(bench: Bench) -> dict[str, object]:
    from dataclasses import asdict

    return asdict(bench)


def _echo_json(value: object) -> None:
    from json import dumps

    typer.echo(dumps(value, indent=1, sort_keys=True))


def _echo_bench(bench: Bench) -> None:
    typer.echo(f"{bench.name}: {bench.summary}" if bench.summary else bench.name)
    if bench.settings is None:
        typer.echo("    settings are known when it can be built")
    for s in bench.settings or []:
        default = str(s.default).lower() if isinstance(s.default, bool) else s.default
        bounds = (
            "|".join(s.choices)
            if s.choices
            else f"{s.min:.12g} .. {s.max:.12g}"
            if s.min is not None and s.max is not None
            else ""
        )
        typer.echo(f"    {s.name}={default}  {s.help}" + (f"  [{bounds}]" if bounds else ""))
