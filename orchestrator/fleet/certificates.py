"""Certificates of one run's Ray cluster: an authority that lives in memory as long as the run, and what it signs for each machine.

Ray's processes show their certificate in both directions, so that whoever has none that this authority signed is not spoken to. They
look for the address that they dial in it.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any

#: Clocks of hosts may be this far behind, and a run that long.
_BEHIND, _LASTS = dt.timedelta(days=2), dt.timedelta(days=400)
_LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class Papers:
    """Of one machine, each as PEM. Only ``key`` is secret."""

    ca: str
    cert: str
    key: str

    def files(self) -> dict[str, str]:
        """Variable with which Ray is told of a file → what is in it."""
        return {
            "RAY_TLS_CA_CERT": self.ca,
            "RAY_TLS_SERVER_CERT": self.cert,
            "RAY_TLS_SERVER_KEY": self.key,
        }

    def written(self, folder: Path) -> dict[str, str]:
        """Each in a file with mode 0600: variable → its path."""
        paths = {variable: folder / variable for variable in self.files()}
        for variable, text in self.files().items():
            paths[variable].touch(mode=0o600)
            paths[variable].write_text(text)
        return {variable: str(path) for variable, path in paths.items()}


class Authority:
    """Its own key never leaves this process."""

    def __init__(self) -> None:
        from cryptography import x509
        from cryptography.hazmat.primitives.asymmetric import ec

        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _named("orch run")
        only_signs = x509.BasicConstraints(ca=True, path_length=0)
        self._ca = self._signed(self._name, self._key, only_signs)

    def papers(self, address: str) -> Papers:
        """For the machine that is dialled at ``address``, a literal one. Raises ValueError for another."""
        from cryptography import x509
        from cryptography.hazmat.primitives.asymmetric import ec

        names = [x509.IPAddress(ip_address(a)) for a in dict.fromkeys((address, _LOOPBACK))]
        key = ec.generate_private_key(ec.SECP256R1())
        cert = self._signed(_named("orch node"), key, x509.SubjectAlternativeName(names))
        return Papers(_pem(self._ca), _pem(cert), _secret(key))

    def _signed(self, subject: Any, key: Any, extension: Any) -> Any:
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes

        now = dt.datetime.now(dt.UTC)
        made = x509.CertificateBuilder().subject_name(subject).issuer_name(self._name)
        made = made.public_key(key.public_key()).serial_number(x509.random_serial_number())
        made = made.not_valid_before(now - _BEHIND).not_valid_after(now + _LASTS)
        critical = isinstance(extension, x509.BasicConstraints)
        return made.add_extension(extension, critical=critical).sign(self._key, hashes.SHA256())


def _named(name: str) -> Any:
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _pem(certificate: Any) -> str:
    from cryptography.hazmat.primitives.serialization import Encoding

    return str(certificate.public_bytes(Encoding.PEM).decode())


def _secret(key: Any) -> str:
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    return str(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode())
