"""What ssh_config and an `Address` say together: where to dial, as whom, with which keys, through which hosts."""

from __future__ import annotations

import getpass
import importlib
import re
import threading
from dataclasses import dataclass, field
from pathlib import Path

import paramiko
from paramiko.config import SSHConfigDict

from orchestrator.errors import Unreachable
from orchestrator.model.address import Address
from orchestrator.transport.known_hosts import SSH_PORT

_INCLUDE_DEPTH = 16
_LOADING = threading.Lock()
_DEFAULT_KEYS = ("id_ed25519", "id_ecdsa", "id_rsa")


@dataclass(frozen=True)
class Route:
    """One connection to make. ``jumps`` are the hosts to go through, nearest first."""

    host: str
    port: int
    user: str
    #: key files to try, in order; those that were not named by anyone may be missing
    keys: list[Path]
    #: True where a missing key file is worth a word
    keys_named: bool
    use_agent: bool
    #: the name under which the host key is on record, "" for host and port
    key_alias: str = ""
    jumps: list[Route] = field(default_factory=list)

    @property
    def target(self) -> str:
        return f"{self.host} port {self.port}"


def route(address: Address) -> Route:
    """Raises Unreachable where the ssh_config cannot be followed."""
    config = _load(address)
    return _route(address, config, address.host or address.name, address.port, address.user, depth=0)


def _route(
    address: Address, config: paramiko.SSHConfig, alias: str, port: int | None, user: str | None, depth: int
) -> Route:
    if depth > _INCLUDE_DEPTH:
        raise Unreachable(address.name, f"ProxyJump of {alias} leads in a circle")
    options = _lookup(address, config, alias)
    if options.get("proxycommand") and not address.jump:
        raise Unreachable(
            address.name, "ssh_config asks for a ProxyCommand, which is not supported", "use ProxyJump"
        )
    keys, named = _keys(address, options)
    through = address.jump if depth == 0 and address.jump else options.get("proxyjump", "none")
    hops = [] if through.lower() == "none" else [hop.strip() for hop in through.split(",")]
    return Route(
        host=options["hostname"],
        port=port or int(options.get("port", SSH_PORT)),
        user=user or options.get("user") or getpass.getuser(),
        keys=keys,
        keys_named=named,
        use_agent=address.agent and (options.get("identitiesonly", "no").lower() != "yes" or not named),
        key_alias=options.get("hostkeyalias", ""),
        jumps=[_hop(address, config, hop, depth) for hop in hops],
    )


_HOP = re.compile(r"^(?:ssh://)?(?:(?P<user>[^@]+)@)?(?P<host>\[[^\]]+\]|[^:/]+)(?::(?P<port>\d+))?/?$")


def _hop(address: Address, config: paramiko.SSHConfig, text: str, depth: int) -> Route:
    match = _HOP.match(text)
    if match is None:
        raise Unreachable(address.name, f"cannot read the jump host {text!r}", "[user@]host[:port]")
    port = int(match["port"]) if match["port"] else None
    return _route(address, config, match["host"].strip("[]"), port, match["user"], depth + 1)


def _keys(address: Address, options: SSHConfigDict) -> tuple[list[Path], bool]:
    if address.key is not None:
        return [address.key.expanduser()], True
    named = [Path(name).expanduser() for name in options.get("identityfile", []) if name.lower() != "none"]
    if named:
        return named, True
    return [Path.home() / ".ssh" / name for name in _DEFAULT_KEYS], False


def _lookup(address: Address, config: paramiko.SSHConfig, alias: str) -> SSHConfigDict:
    try:
        options = config.lookup(alias)
        int(options.get("port", SSH_PORT))
    except (paramiko.SSHException, ImportError, ValueError, KeyError) as e:
        raise Unreachable(address.name, f"ssh_config cannot be followed for {alias}: {e}") from e
    return options


def _load(address: Address) -> paramiko.SSHConfig:
    path = address.config or Path.home() / ".ssh" / "config"
    try:
        if address.config is None and not path.is_file():
            return paramiko.SSHConfig()
        lines = _lines(path.expanduser(), address.name, 0)
        _ready_for_exec(lines)
        return paramiko.SSHConfig.from_text("\n".join(lines))
    except (OSError, UnicodeDecodeError, ImportError, paramiko.SSHException) as e:
        raise Unreachable(address.name, f"{path} cannot be read: {e}") from e


def _ready_for_exec(lines: list[str]) -> None:
    """What runs the commands of `Match exec` is left out when paramiko is loaded (`orchestrator.transport`)."""
    if any(line.lower().startswith("match") and "exec" in line.lower() for line in lines):
        with _LOADING:
            if paramiko.config.invoke is None:  # type: ignore[attr-defined]  # the stubs leave it out
                vars(paramiko.config)["invoke"] = importlib.import_module("invoke")


def _lines(path: Path, host: str, depth: int) -> list[str]:
    """The lines of a file with every Include replaced by what it names: paramiko passes over it silently."""
    if depth > _INCLUDE_DEPTH:
        raise Unreachable(host, f"Include in {path} leads in a circle")
    made: list[str] = []
    block = ""
    for raw in path.read_text().splitlines():
        line = raw.strip()
        keyword, _, argument = line.replace("=", " ", 1).partition(" ")
        if _opens(line):
            block = line
        if keyword.lower() != "include":
            made.append(line)
            continue
        included = [inner for file in _included(argument) for inner in _lines(file, host, depth + 1)]
        opens = any(_opens(inner) for inner in included)
        if block and opens:
            raise Unreachable(
                host,
                f"{path}: an Include within `{block}` brings Host lines of its own, which is not supported",
                "put the Include before the first Host",
            )
        made += included
        if opens:
            made.append("Host *")  # the end of the included file ends its last block
    return made


def _opens(line: str) -> bool:
    return line.replace("=", " ", 1).partition(" ")[0].lower() in ("host", "match")


def _included(argument: str) -> list[Path]:
    found: list[Path] = []
    for pattern in argument.replace('"', " ").split():
        path = Path(pattern).expanduser()
        absolute = path if path.is_absolute() else Path.home() / ".ssh" / path
        matches = Path(absolute.anchor).glob(str(absolute.relative_to(absolute.anchor)))
        found += sorted(file for file in matches if file.is_file())
    return found
