"""Hosts, groups, patterns, and where a host's settings come from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from orchestrator.model.address import DEFAULT_SPOOL
from orchestrator.model.inventory import LOCAL, Inventory, PatternError, read_inventory, written

ROOT = Path(__file__).parents[2]

FLEET = """
ssh: {user: bench, key: keys/id}
spool: /var/orch
hosts:
  n2: {ssh: {host: 192.0.2.2}, labels: {rack: a}}
  n1: {ssh: {port: 2222, user: root}}
  lone:
groups:
  numa: {children: [big], python: python3.11, labels: {kind: numa}, vars: {owner: us}}
  big: {hosts: [n1, n2], labels: {rack: b}}
  quarantined: {hosts: [n2]}
"""


def read(tmp_path: Path, text: str) -> Inventory:
    file = tmp_path / "fleet.yml"
    file.write_text(text)
    inventory, errors = read_inventory(file)
    assert inventory is not None, errors
    return inventory


def errors_of(tmp_path: Path, text: str) -> list[str]:
    file = tmp_path / "fleet.yml"
    file.write_text(text)
    inventory, errors = read_inventory(file)
    assert inventory is None
    return [str(e).replace(f"{tmp_path}/", "") for e in errors]


def test_the_file_local_yml_is_what_is_used_without_an_inventory() -> None:
    assert (ROOT / "inventory" / "local.yml").read_text() == LOCAL
    inventory, errors = read_inventory(None)
    assert inventory is not None, errors
    assert [h.local for h in inventory.hosts.values()] == [True]


def test_the_example_fleet_is_right_and_names_documentation_addresses_only() -> None:
    inventory, errors = read_inventory(ROOT / "inventory" / "example-fleet.yml")
    assert inventory is not None, errors
    assert all(h.host.startswith("192.0.2.") for h in inventory.hosts.values())
    assert inventory.select("numa:!quarantined") == ["epyc-1", "epyc-2", "xeon-1"]


def test_hosts_stand_in_the_order_of_the_file(tmp_path: Path) -> None:
    inventory = read(tmp_path, FLEET)
    assert list(inventory.hosts) == ["n2", "n1", "lone"]
    assert inventory.select("lone:n1:n2") == ["n2", "n1", "lone"]


def test_a_hosts_own_setting_is_stronger_than_its_groups_and_that_than_the_tops(tmp_path: Path) -> None:
    hosts = read(tmp_path, FLEET).hosts
    assert (hosts["n1"].user, hosts["n1"].port, hosts["n1"].host) == ("root", 2222, "")
    assert (hosts["n2"].user, hosts["n2"].labels) == ("bench", {"kind": "numa", "rack": "a"})
    assert hosts["n1"].labels == {"kind": "numa", "rack": "b"}
    assert (hosts["n1"].python, hosts["lone"].python) == ("python3.11", "python3")
    assert hosts["lone"].spool == "/var/orch"
    assert read(tmp_path, "hosts: [a]").hosts["a"].spool == DEFAULT_SPOOL


def test_become_is_root_or_the_user_that_is_named_and_reads_back(tmp_path: Path) -> None:
    text = "become: true\nhosts: {a: {}, b: {become: bench}, c: {become: false}}"
    hosts = read(tmp_path, text).hosts
    assert [hosts[name].become for name in "abc"] == ["root", "bench", None]
    again = read(tmp_path, json.dumps({"hosts": {name: written(hosts[name]) for name in "abc"}})).hosts
    assert again == hosts


def test_a_relative_key_file_lies_beside_the_inventory(tmp_path: Path) -> None:
    assert read(tmp_path, FLEET).hosts["n1"].key == tmp_path / "keys" / "id"


@pytest.mark.parametrize(
    ("pattern", "hosts"),
    [
        ("all", ["n2", "n1", "lone"]),
        ("numa", ["n2", "n1"]),
        ("all:&numa:!quarantined", ["n1"]),
        ("!numa", ["lone"]),
        ("ungrouped", ["lone"]),
        ("n*", ["n2", "n1"]),
        ("n[13],lone", ["n1", "lone"]),
        ("quar*", ["n2"]),
    ],
)
def test_a_pattern_selects_hosts(tmp_path: Path, pattern: str, hosts: list[str]) -> None:
    assert read(tmp_path, FLEET).select(pattern) == hosts


@pytest.mark.parametrize(
    ("pattern", "what"),
    [
        ("", "an empty host pattern"),
        (" : ", "an empty host pattern"),
        ("all:!all", "leaves no host"),
        ("all:!quarantine", "no host or group 'quarantine'"),
        ("x*", "no host or group 'x*'"),
    ],
)
def test_a_pattern_that_selects_nothing_or_names_nobody_is_an_error(
    tmp_path: Path, pattern: str, what: str
) -> None:
    with pytest.raises(PatternError, match=what.replace("*", r"\*")):
        read(tmp_path, FLEET).select(pattern)


def test_every_error_of_an_inventory_is_said_at_once(tmp_path: Path) -> None:
    said = errors_of(
        tmp_path, "hosts:\n  a b: {}\n  c: {ssh: {prot: 1, password: x, port: 99999}}\nsppol: /x\n"
    )
    assert said == [
        "fleet.yml:2: hosts.a b: 'a b' cannot be a name (letters, digits, dot, underscore, hyphen; at most 100 of them)",
        "fleet.yml:3: hosts.c.ssh.port: the number 99999: must be less than or equal to 65535",
        "fleet.yml:3: hosts.c.ssh.prot: unknown key 'prot' (did you mean 'port'?)",
        "fleet.yml:3: hosts.c.ssh.password: unknown key 'password' (secrets have no place in an inventory: use a key file or an agent)",
        "fleet.yml:4: sppol: unknown key 'sppol' (did you mean 'spool'?)",
    ]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("hosts: {}", "there is no host"),
        ("hosts: [a]\ngroups: {g: {hosts: [b]}}", "no host 'b'"),
        ("hosts: [a]\ngroups: {g: {children: [h]}}", "no group 'h'"),
        ("hosts: [a]\ngroups: {g: {children: [h]}, h: {children: [g]}}", "contains itself"),
        ("hosts: [a]\ngroups: {all: {hosts: [a]}}", "is there by itself"),
        ("hosts: [a]\ngroups: {a: {hosts: [a]}}", "is a host already"),
        ("hosts: {a: {local: true, ssh: {port: 1}}}", "is both `local` and reached over `ssh`"),
        ("become: true\nhosts: {a: {local: true}}", "`become` is for hosts over ssh"),
        ("hosts: {a: {become: -x}}", "expected true, false, or the name of a user"),
        ("- a", "expected an inventory, got a list"),
        ("hosts: [a, b, a]", "fleet.yml:1: hosts[2]: host 'a' is given twice (leave one out)"),
        ("hosts:\n  a:\n  b:\n  a:\n", "fleet.yml:4: hosts.a: given twice (first on line 2)"),
        ("hosts: [a]\ngroups: {g: {hosts: [a, a]}}", "groups.g.hosts[1]: host 'a' is given twice"),
    ],
)
def test_an_inventory_that_contradicts_itself_is_refused(tmp_path: Path, text: str, what: str) -> None:
    said = errors_of(tmp_path, text)
    assert len(said) == 1
    assert what in said[0]


def test_an_executable_inventory_is_run_and_read_as_json(tmp_path: Path) -> None:
    script = tmp_path / "fleet"
    script.write_text("#!/bin/sh\necho '" + json.dumps({"hosts": {"a": {"labels": {"rack": "x"}}}}) + "'\n")
    script.chmod(0o755)
    inventory, errors = read_inventory(script)
    assert inventory is not None, errors
    assert inventory.hosts["a"].labels == {"rack": "x"}


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("#!/bin/sh\necho gone >&2; exit 4\n", "fleet: exit status 4 (gone)"),
        ("#!/bin/sh\nkill -9 $$\n", "fleet: ended by signal 9"),
        ("hosts: [a]\n", "fleet: cannot be run: Exec format error (is it an inventory in YAML?"),
        ("#!/nonexistent/python\n", "fleet: cannot be run: No such file or directory (is there the program"),
        ("#!/bin/sh\n", "fleet (what it printed):1: is empty"),
        ("#!/bin/sh\nprintf '\\377\\376\\000'\n", "fleet: printed no text in UTF-8"),
        (
            "#!/bin/sh\necho '<html>{502</html>'\n",
            "fleet (what it printed):1: expected an inventory, got the text",
        ),
        ("#!/bin/sh\necho 'hosts: {a'\n", "fleet (what it printed):2: is not YAML"),
        ('#!/bin/sh\necho \'{"_meta": {}, "hosts": ["a"]}\'\n', "_meta: unknown key '_meta'"),
    ],
)
def test_an_executable_inventory_that_fails_says_how(tmp_path: Path, text: str, what: str) -> None:
    script = tmp_path / "fleet"
    script.write_text(text)
    script.chmod(0o755)
    inventory, errors = read_inventory(script)
    assert inventory is None
    assert what in str(errors[0])


def test_a_missing_inventory_says_so(tmp_path: Path) -> None:
    _, errors = read_inventory(tmp_path / "nothing.yml")
    assert "cannot be read: No such file" in str(errors[0])
