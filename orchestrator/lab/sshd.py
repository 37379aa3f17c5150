"""The sshd of a host of a lab: the program, its keys, its configuration, and what it says where it does not start."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from orchestrator.errors import SetupError
from orchestrator.lab.labs import Lab, LabHost

#: where the programs of a host lie that has folders of its own
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#: keeps bash from reading its .bashrc at every command: the programs are those that the lab gives
_SHELL = "SHLVL=1"


def program() -> str:
    """Raises SetupError where sshd or ssh-keygen is missing."""
    found = shutil.which("sshd", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
    if found is None or shutil.which("ssh-keygen") is None:
        sudo = "" if os.geteuid() == 0 else "sudo "
        raise SetupError("lab", "sshd is not installed", f"{sudo}apt-get install -y openssh-server")
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # sshd wants it for its unprivileged part
    return found


def keygen(path: Path, comment: str) -> None:
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(path)]
    subprocess.run(command, check=True, capture_output=True, timeout=30)


def config(lab: Lab, host: LabHost, keys: str, authorized: Path, environment: Sequence[str]) -> str:
    """``keys``: the folder of its host key, as the host sees it, and ``authorized`` the keys that may log in."""
    return f"""\
Port {host.port}
ListenAddress {host.address}
HostKey "{keys}/host_key"
AuthorizedKeysFile "{authorized}"
AllowUsers {lab.user}
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
StrictModes no
UsePAM no
UseDNS no
PrintMotd no
PidFile none
MaxStartups 200
MaxSessions 64
Subsystem sftp internal-sftp
SetEnv ORCH_LAB={lab.name} ORCH_LAB_HOST={host.name} {_SHELL} {" ".join(environment)}
"""


def does_not_start(lab: Lab, host: LabHost) -> SetupError:
    log = (lab.path / host.name / "sshd.log").read_text(errors="replace").strip().splitlines()
    return SetupError(f"lab {lab.name}", f"sshd of {host.name} does not start: {' / '.join(log[-3:])}")
