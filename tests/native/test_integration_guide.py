"""The integration guide shows code of programs that are compiled and run, and both adapters take either program."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NATIVE = ROOT / "native"
GUIDE = (ROOT / "docs" / "INTEGRATION_GUIDE.md").read_text()
EXAMPLES = {path.stem: path.read_text() for path in sorted((NATIVE / "examples").glob("*.c"))}
SHOWN = re.findall(r"^```c\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)
#: program → the adapter that puts the other system behind the interface it calls
ADAPTERS = {"guarded_workers": "baseline_as_lockfree", "existing_code": "lockfree_as_baseline"}


def test_every_piece_of_code_in_the_guide_is_cut_out_of_an_example() -> None:
    assert len(SHOWN) >= 4
    assert [piece for piece in SHOWN if not any(piece in text for text in EXAMPLES.values())] == []


def test_every_example_is_built_and_run_over_both_systems() -> None:
    build = (NATIVE / "CMakeLists.txt").read_text()
    assert set(EXAMPLES) == set(ADAPTERS)
    for program, adapter in ADAPTERS.items():
        assert re.search(rf'add_example\(\w+ {program} ""\)', build)
        assert re.search(rf"add_example\(\w+ {program} {adapter}\)", build)


@pytest.mark.native
@pytest.mark.parametrize("program", ADAPTERS)
def test_an_adapter_leaves_no_call_to_the_system_that_it_replaces(program: str) -> None:
    adapter = ADAPTERS[program]
    command = ["gcc", "-std=c17", "-D_GNU_SOURCE=", "-E", "-P", f"-I{NATIVE / 'include'}"]
    command += [
        f"-I{NATIVE / 'baseline'}",
        "-include",
        str(NATIVE / "baseline" / "adapters" / f"{adapter}.h"),
    ]
    done = subprocess.run(
        [*command, str(NATIVE / "examples" / f"{program}.c")], capture_output=True, text=True, check=True
    )
    own = done.stdout[done.stdout.rindex("int main(void)") :]
    assert own.count("baseline_") == 0 if program == "existing_code" else "baseline_table_create" in own


def test_the_adapters_name_every_function_of_the_baseline() -> None:
    headers = "".join(
        (NATIVE / "baseline" / name).read_text()
        for name in ("baseline_capability.h", "baseline_scheduler.h", "baseline_guarded.h")
    )
    functions = set(re.findall(r"\b(baseline_\w+)\(", headers))
    assert len(functions) > 40
    for adapter in ADAPTERS.values():
        text = (NATIVE / "baseline" / "adapters" / f"{adapter}.h").read_text()
        named = set(re.findall(r"\bbaseline_\w+", "\n".join(re.findall(r"^#define .*$", text, re.MULTILINE))))
        # task_state is told no scheduler, so it has no counterpart in that direction
        assert functions - named <= ({"baseline_task_state"} if adapter == "baseline_as_lockfree" else set())
