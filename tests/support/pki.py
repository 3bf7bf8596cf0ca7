"""Certificates for tests of TLS: an authority of one's own, a server's certificate, and what a client is given."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

_DAYS = "2"


@dataclass(frozen=True)
class Certificate:
    """A certificate with its key."""

    certificate: Path
    key: Path


class Authority:
    """A certificate authority in a directory of its own."""

    def __init__(self, directory: Path, name: str) -> None:
        self._directory, self._name = directory, name
        self.own = Certificate(directory / f"{name}.pem", directory / f"{name}.key")
        extensions = ["-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign"]
        _openssl(
            *("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", _DAYS, "-subj", f"/CN={name}"),
            *("-keyout", self.own.key, "-out", self.own.certificate, *extensions),
        )

    def issue(self, name: str, *, alternative_names: str) -> Certificate:
        """Sign a certificate, for names such as `DNS:localhost,IP:127.0.0.1`."""
        base = self._directory / f"{self._name}-{name}"
        made = Certificate(base.with_suffix(".pem"), base.with_suffix(".key"))
        request, extensions = base.with_suffix(".csr"), base.with_suffix(".ext")
        extensions.write_text(
            f"subjectAltName={alternative_names}\nbasicConstraints=critical,CA:FALSE\n"
            "keyUsage=critical,digitalSignature,keyEncipherment\nextendedKeyUsage=serverAuth,clientAuth\n"
        )
        _openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}", "-keyout", made.key, "-out", request)
        _openssl(
            *("x509", "-req", "-in", request, "-CA", self.own.certificate, "-CAkey", self.own.key, "-CAcreateserial"),
            *("-out", made.certificate, "-days", _DAYS, "-extfile", extensions),
        )
        return made


def client_directory(directory: Path, trusted: list[Authority], client: Certificate) -> Path:
    """Lay a client's files out as libvirt wants them for `pkipath`."""
    directory.mkdir()
    (directory / "cacert.pem").write_text("".join(each.own.certificate.read_text() for each in trusted))
    shutil.copy(client.certificate, directory / "clientcert.pem")
    shutil.copy(client.key, directory / "clientkey.pem")
    return directory


def _openssl(*arguments: object) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)
