"""One holder per host: taken atomically, ended by the host's own clock, and put in order when it ends."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import pytest

from agents import hold, lease
from agents.launch import boot_id
from agents.lease import Place, Record
from agents.limits import process
from agents.wire import dumps, encode
from tests.agents.conftest import Host, is_alive, wait_for

ROUNDS = 200


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "place"


def take(host: Host, place: Path, name: str, *, ttl: float = 60.0, run: str = "run") -> dict[str, Any]:
    words = ["--id", name, "--who", f"{name}@box", "--run", run, "--what", f"job of {name}"]
    return told(host, "take", "--place", str(place), *words, "--ttl", str(ttl), "--for", "600")


def told(host: Host, *words: str) -> dict[str, Any]:
    done = host.agent(*words)
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def holder(host: Host, place: Path) -> str | None:
    shown = told(host, "lease", "--place", str(place))["lease"]
    return shown["id"] if shown else None


def let_go(host: Host, place: Path) -> None:
    told(host, "release", "--place", str(place))


def test_the_second_is_told_who_holds_the_host_and_until_when(host: Host, place: Path) -> None:
    assert take(host, place, "a")["held"]
    refused = take(host, place, "b")
    assert not refused["held"]
    about = refused["lease"]
    assert (about["who"], about["what"]) == ("a@box", "job of a")
    assert about["since"] < about["until"] < about["since"] + 61
    let_go(host, place)


def test_taken_again_by_its_holder_it_is_the_same_lease(host: Host, place: Path) -> None:
    first = take(host, place, "a")
    again = take(host, place, "a")
    assert again["held"]
    assert again["keeper"] == first["keeper"]
    assert again["lease"]["since"] == first["lease"]["since"]
    let_go(host, place)


def test_without_signs_of_life_the_host_frees_itself_and_ends_what_ran(host: Host, place: Path) -> None:
    order = host.order(settings={"argv": ["sleep", "600"]})
    host.start(order)
    taken = take(host, place, "a", ttl=0.5, run=order.run)
    assert taken["held"]
    assert wait_for(lambda: not place.joinpath("lease.json").exists(), 30)
    assert host.status(order)["state"] == "ended"
    assert wait_for(lambda: not is_alive(taken["keeper"]))
    assert holder(host, place) is None


def test_a_sign_of_life_keeps_it(host: Host, place: Path) -> None:
    taken = take(host, place, "a", ttl=600.0)
    record = Place(place).read()
    assert record is not None
    Path(taken["beat"]).write_text(f"{lease.uptime():.2f}\n")
    left = lease.renew(Place(place), record)
    assert left is not None
    assert left > 595
    let_go(host, place)


def test_a_sign_from_the_future_counts_up_to_now(host: Host, place: Path) -> None:
    taken = take(host, place, "a", ttl=5.0)
    Path(taken["beat"]).write_text(f"{lease.uptime() + 1e6:.2f}\n")
    record = Place(place).read()
    assert record is not None
    left = lease.renew(Place(place), record)
    assert left is not None
    assert left <= 5.0
    let_go(host, place)


def test_where_the_keeper_was_killed_the_next_one_puts_the_host_in_order(host: Host, place: Path) -> None:
    order = host.order(settings={"argv": ["sleep", "600"]})
    host.start(order)
    taken = take(host, place, "a", ttl=0.5, run=order.run)
    os.kill(taken["keeper"], signal.SIGKILL)
    assert wait_for(lambda: take(host, place, "b", ttl=60)["held"], 30)
    assert host.status(order)["state"] == "ended"
    let_go(host, place)


def test_while_the_keeper_puts_the_host_in_order_nobody_else_has_it(tmp_path: Path) -> None:
    place, now = Place(tmp_path), lease.uptime()
    me = process(os.getpid())
    assert me is not None
    over = record("a", tmp_path, until=now - 1.0)
    kept = Record(**{**vars(over), "keeper": me.pid, "keeper_start": me.start})
    assert not over.is_valid(now)
    assert kept.is_valid(now)
    assert not kept.is_valid(now + lease.GRACE_S + 1)
    place.write(kept)
    assert not lease.take(place, record("b", tmp_path), 60)[0]


def test_a_record_from_before_a_reboot_counts_for_nothing(tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.write(record("a", tmp_path, boot="another", until=lease.uptime() + 1e6))
    assert hold.show(place)["lease"] is None
    assert lease.take(place, record("b", tmp_path), 60)[0]


def test_garbage_in_the_place_of_the_record_is_no_holder(host: Host, place: Path) -> None:
    place.mkdir()
    (place / "lease.json").write_bytes(b'{"id":\xff')
    assert holder(host, place) is None
    assert take(host, place, "a")["held"]
    let_go(host, place)


def test_a_link_in_the_place_of_the_record_is_not_followed(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text(dumps(encode(record("a", tmp_path, until=1e12))))
    folder = tmp_path / "place"
    folder.mkdir()
    (folder / "lease.json").symlink_to(secret)
    assert Place(folder).read() is None
    assert lease.take(Place(folder), record("b", tmp_path), 60)[0]
    assert '"a"' in secret.read_text()


def test_released_it_leaves_no_process(host: Host, place: Path) -> None:
    taken = take(host, place, "a")
    assert is_alive(taken["keeper"])
    answer = told(host, "release", "--place", str(place), "--id", "a")
    assert answer["released"]
    assert wait_for(lambda: not is_alive(taken["keeper"]))
    assert sorted(p.name for p in place.iterdir()) == ["lock"]


def test_another_one_s_lease_is_not_released_by_name(host: Host, place: Path) -> None:
    take(host, place, "a")
    assert not told(host, "release", "--place", str(place), "--id", "b")["released"]
    assert holder(host, place) == "a"
    let_go(host, place)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--ttl", "0", "--for", "9"], "--ttl: must be more than 0"),
        (["--ttl", "nan", "--for", "9"], "--ttl: must be more than 0"),
        (["--ttl", "x", "--for", "9"], "--ttl: expected a number"),
    ],
)
def test_bad_words_are_one_line(host: Host, place: Path, words: list[str], said: str) -> None:
    done = host.agent("take", "--place", str(place), "--id", "a", "--who", "a", "--run", "r", *words)
    assert done.returncode == 2
    assert said in done.stderr.decode()
    assert len(done.stderr.splitlines()) == 1


def test_a_place_that_cannot_be_is_one_line(host: Host, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    words = ["--id", "a", "--who", "a", "--run", "r", "--ttl", "9", "--for", "9"]
    done = host.agent("take", "--place", str(file), *words)
    assert done.returncode == 5
    assert len(done.stderr.splitlines()) == 1


def test_two_that_race_are_never_both_holders(tmp_path: Path) -> None:
    """Two processes, 200 times; each that took it sees itself as the holder until it lets go."""
    context = multiprocessing.get_context("fork")
    barrier, won = context.Barrier(2), context.Array("i", 2 * ROUNDS)
    racers = [context.Process(target=_race, args=(tmp_path, n, barrier, won)) for n in range(2)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join(120)
        assert racer.exitcode == 0
    assert all(won[2 * i] + won[2 * i + 1] == 1 for i in range(ROUNDS))


def _race(folder: Path, number: int, barrier: Barrier, won: Any) -> None:
    place = Place(folder / "place")
    for i in range(ROUNDS):
        name = f"racer{number}-{i}"
        barrier.wait(60)
        took, _ = lease.take(place, record(name, folder), 60)
        if took:
            won[2 * i + number] = 1
            held = place.read()
            assert held is not None
            assert held.id == name
        barrier.wait(60)
        if took:
            assert lease.drop(place, name, folder)


def record(name: str, spool: Path, *, until: float = 0.0, boot: str | None = None) -> Record:
    return Record(
        id=name,
        who="me",
        run="run",
        what="",
        since=0.0,
        boot=boot_id() if boot is None else boot,
        ttl_s=60.0,
        until=until,
        end=1e15,
        spool=str(spool),
    )
