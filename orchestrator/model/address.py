"""Where a host is and how to get in: all that a transport needs to know, and nothing secret."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

#: seconds for dialling, key exchange and login, each, of a host of which nothing else is said
CONNECT_S = 10.0
DEFAULT_SPOOL = "~/.cache/orch"
#: The host's bootstrapped environment where it has one, else the agent's interpreter (`agents.node.interpreter`).
ANY_RAY = "any"


@dataclass(frozen=True)
class Address:
    """One host of an inventory. What is None or empty is taken from ``config``, then from ssh's defaults."""

    #: the inventory name: what every message, journal and table calls the host
    name: str
    #: this machine, without SSH; everything about SSH is then ignored
    local: bool = False
    #: name or address to dial, ``name`` where empty
    host: str = ""
    port: int | None = None
    user: str | None = None
    #: private key file, without passphrase (those belong into an agent)
    key: Path | None = None
    #: ask the running ssh-agent
    agent: bool = True
    #: ssh_config to read, None for ~/.ssh/config where that exists
    config: Path | None = None
    #: the only known_hosts that counts, None for ~/.ssh/known_hosts and our own
    known_hosts: Path | None = None
    #: hosts to go through, as ProxyJump writes them: [user@]host[:port],…
    jump: str | None = None
    #: the user that every command runs as, by sudo; None for the one that logs in
    become: str | None = None
    #: interpreter for the agent, a name or a path on the host
    python: str = "python3"
    #: where the agent keeps its files on the host
    spool: str = DEFAULT_SPOOL
    #: folder on the host for its lease, the same for all of its users; empty: the agent's own choice
    leases: str = ""
    #: seconds for dialling, key exchange and login, each
    connect_timeout_s: float = CONNECT_S
    #: command on the controller that boots the host anew; empty: there is none
    reboot: tuple[str, ...] = ()
    #: its figures never enter a baseline
    emulated: bool = False
    #: interpreter on the host that has Ray, with which it joins the cluster of a run, or `ANY_RAY`; empty: driven from the controller
    ray: str = ""
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)
    #: the lab that this host belongs to
    lab: str | None = None

    @property
    def pace(self) -> float:
        """How many times as long as another this host may take for any answer: as much as it is given for the connection. An
        emulated machine takes half a minute to start Python when the one that it is emulated on is busy."""
        return max(1.0, self.connect_timeout_s / CONNECT_S)
