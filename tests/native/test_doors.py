"""A door of atomics.h costs nothing: it compiles to the very instructions of the bare C11 operation."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

pytestmark = pytest.mark.native
NATIVE = Path(__file__).parents[2] / "native"
DOOR = re.compile(r"^static inline ([\w ]+?[ *])(\w+)\(([^)]*)\)", re.MULTILINE)
NAME = re.compile(
    r"atomic_(load|store|exchange|cas|fetch_\w+?|fence)_(relaxed|acquire|release|acq_rel|seq_cst)(?:_\w+)?"
)
ON_FAILURE = {
    "relaxed": "relaxed",
    "release": "relaxed",
    "acquire": "acquire",
    "acq_rel": "acquire",
    "seq_cst": "seq_cst",
}


def bare(name: str, arguments: list[str]) -> str | None:
    """The C11 operation that a door of that name stands for; None for what is no operation."""
    if name.startswith("plain_load_"):
        return "return at->value;"
    if name.startswith("plain_store_"):
        return f"at->value = {arguments[1]};"
    found = NAME.fullmatch(name)
    if found is None:
        return None
    kind, order = found.groups()
    if kind == "fence":
        return f"atomic_thread_fence(memory_order_{order});"
    operation = "compare_exchange_strong" if kind == "cas" else kind
    values = "".join(f", {argument}" for argument in arguments[1:])
    orders = f"memory_order_{order}" + (f", memory_order_{ON_FAILURE[order]}" if kind == "cas" else "")
    return f"{'return ' if kind != 'store' else ''}atomic_{operation}_explicit(&at->value{values}, {orders});"


def write_sources(folder: Path) -> list[str]:
    """One file with every door in a function of its own, and one with the operations; the names of the doors."""
    doors, operations, names = ['#include "atomics.h"'], ['#include "atomics.h"'], []
    for kind, name, parameters in dict.fromkeys(
        DOOR.findall((NATIVE / "include" / "atomics_c11.h").read_text())
    ):
        arguments = [] if parameters == "void" else [re.split(r"[ *]", p)[-1] for p in parameters.split(", ")]
        body = bare(name, arguments)
        if body is None:
            continue
        head = f"{kind}do_{name}({parameters});\n{kind}do_{name}({parameters})"
        doors.append(f"{head} {{ {'' if kind == 'void ' else 'return '}{name}({', '.join(arguments)}); }}")
        operations.append(f"{head} {{ {body} }}")
        names.append(name)
    (folder / "doors.c").write_text("\n".join(doors) + "\n")
    (folder / "bare.c").write_text("\n".join(operations) + "\n")
    return names


def instructions(source: Path, compiler: str) -> dict[str, list[str]]:
    """Function → its instructions, without their addresses."""
    out = source.with_suffix(f".{compiler}.o")
    flags = ["-std=c17", "-D_GNU_SOURCE=", "-O2", f"-I{NATIVE / 'include'}"]
    subprocess.run([compiler, *flags, "-c", str(source), "-o", str(out)], check=True)
    command = ["objdump", "-d", "--no-show-raw-insn", "--no-addresses", str(out)]
    shown = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    functions: dict[str, list[str]] = {}
    for part in re.split(r"\n\n(?=<)", shown)[1:]:
        name, _, body = part.partition(">:\n")
        lines = [" ".join(line.split()) for line in body.splitlines()]
        functions[name.lstrip("<")] = [
            line for line in lines if line and not re.match(r"(data16|cs|nop|xchg %ax,%ax)", line)
        ]
    return functions


@pytest.mark.parametrize("compiler", ["gcc", "clang-16"])
def test_a_door_is_the_bare_instruction(tmp_path: Path, compiler: str) -> None:
    names = write_sources(tmp_path)
    assert len(names) > 20
    through, plain = (instructions(tmp_path / f"{name}.c", compiler) for name in ("doors", "bare"))
    assert set(through) == {f"do_{name}" for name in names}
    assert through == plain


def test_a_door_that_costs_something_would_differ(tmp_path: Path) -> None:
    write_sources(tmp_path)
    text = (tmp_path / "bare.c").read_text()
    (tmp_path / "bare.c").write_text(text.replace("memory_order_release", "memory_order_seq_cst"))
    through, plain = (instructions(tmp_path / f"{name}.c", "gcc") for name in ("doors", "bare"))
    assert "do_atomic_store_release_u64" in {name for name in through if through[name] != plain[name]}


def test_the_noise_back_end_has_every_door() -> None:
    """A door that it lacks would be one where no thread ever loses time."""
    doors = {name for _, name, _ in DOOR.findall((NATIVE / "include" / "atomics_c11.h").read_text())}
    noisy = set(
        re.findall(
            r"^#define (\w+)\(\.\.\.\) \(atomics_noise\(\), \1\(__VA_ARGS__\)\)$",
            (NATIVE / "include" / "atomics_noise.h").read_text(),
            re.MULTILINE,
        )
    )
    assert noisy - {"shared_free", "park_wait", "park_wake"} == doors


def test_what_is_shipped_has_no_noise_in_it(built: Mapping[str, Path]) -> None:
    symbols = subprocess.run(["nm", str(built["release"])], check=True, capture_output=True, text=True).stdout
    assert " T capability_check" in symbols
    assert "noise" not in symbols
