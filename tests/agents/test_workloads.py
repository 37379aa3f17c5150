"""Every workload in the table, and the command lines of the two that are there."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from agents import workloads
from agents.wire import Order
from agents.workloads import TABLE, BadSetting
from tests.agents.orders import ORDER


def with_settings(**settings: Any) -> Order:
    return dataclasses.replace(ORDER, settings=settings)


def test_every_file_is_in_the_table() -> None:
    files = {p.stem for p in Path(workloads.__file__).parent.glob("*.py")}
    assert files - {"__init__", "setting"} == set(TABLE)


@pytest.mark.parametrize("name", TABLE)
def test_a_workload_declares_what_people_must_know(name: str) -> None:
    workload = TABLE[name]
    assert workload.SUMMARY
    assert "\n" not in workload.SUMMARY
    assert isinstance(workload.EXPECTS_RECORDS, bool)
    assert isinstance(workload.FREE_SETTINGS, bool)
    assert isinstance(workload.NEEDS_PROGRAM, bool)
    for setting in workload.SETTINGS.values():
        assert setting.type in ("str", "int", "float", "bool", "list", "map", "names")
        assert setting.help
        assert not (setting.required and setting.default is not None)


@pytest.mark.parametrize("name", TABLE)
def test_a_required_setting_that_is_missing_is_named(name: str) -> None:
    for setting, declared in TABLE[name].SETTINGS.items():
        if declared.required:
            with pytest.raises(BadSetting, match=setting):
                TABLE[name].argv(with_settings())


def test_the_harness_gets_what_was_planned() -> None:
    order = with_settings(bench="capability_check", ids=32768, ratio=0.5, deep=True, mode="fast")
    assert TABLE["native"].argv(order) == [
        *("/blobs/abc", "run", "capability_check", "--threads", "2", "--cpus", "3,1", "--mem", "node:1"),
        *("--seconds", "2.5", "--warmup", "1.0", "--seed", "18446744073709551615", "--interval", "0.5"),
        *("--set", "deep=true", "--set", "ids=32768", "--set", "mode=fast", "--set", "ratio=0.5"),
    ]


def test_a_harness_that_is_not_pinned_gets_no_list_of_cpus() -> None:
    assert "--cpus" not in TABLE["native"].argv(dataclasses.replace(ORDER, cpus=[]))


@pytest.mark.parametrize("value", [[1], {"a": 1}, None])
def test_the_harness_takes_plain_settings_only(value: Any) -> None:
    with pytest.raises(BadSetting, match="odd"):
        TABLE["native"].argv(with_settings(bench="b", odd=value))


def test_a_command_is_run_as_it_is() -> None:
    words = ["echo", "$HOME; *", 5, 0.5]
    assert TABLE["command"].argv(with_settings(argv=words)) == ["echo", "$HOME; *", "5", "0.5"]


def test_a_command_gets_a_shell_only_when_it_asks() -> None:
    assert TABLE["command"].argv(with_settings(argv=["echo", "a | wc"], shell=True)) == [
        *("/bin/sh", "-c", "echo a | wc")
    ]


@pytest.mark.parametrize("words", [[], "echo", [""], [5], ["echo", None], ["echo", "a\0b"], ["echo", True]])
def test_a_command_that_is_none_is_refused(words: Any) -> None:
    with pytest.raises(BadSetting, match="argv"):
        TABLE["command"].argv(with_settings(argv=words))
