"""The authority on which connection URIs a host may have.

A libvirt URI can do more than name a host: `qemu+ext` and `command=` run a program of one's choice, `netcat=` one on
the host, `no_verify=` talks to whoever answers. So everything that is not known to be harmless is refused: drivers,
transports, parameters, and the characters of what ends up on a command line.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

from vms.domain.errors import HostUriError

LONGEST = 500

#: Over which ways each driver's hosts are reached. No way named: the machine itself, or TLS where a host is named.
TRANSPORTS = {
    "qemu": ("", "unix", "ssh", "tls", "tcp"),
    "test": ("unix", "ssh", "tls", "tcp"),
    "fake": ("unix",),
}
_REMOTE = ("ssh", "tls", "tcp")
_PATHS = {"qemu": ("/system", "/session"), "test": ("/default",)}

#: A key, a directory of certificates, a socket: nothing that a shell would read as more than a path.
_PATH = re.compile(r"/[A-Za-z0-9._/@+-]+")
#: A name that begins with a hyphen would be an option to ssh.
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*")
_USER = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_NUMBER = re.compile(r"[0-9]{1,5}([.][0-9]{1,3})?")

#: The parameters each transport takes, with what their values must look like.
_PARAMETERS = {
    "unix": {"socket": _PATH},
    "ssh": {
        "keyfile": _PATH,
        "socket": _PATH,
        "no_tty": re.compile("[01]"),
        "mode": re.compile("auto|direct|legacy"),
        "proxy": re.compile("auto|netcat|native"),
    },
    "tls": {"pkipath": _PATH},
    "tcp": {},
}
_FAKE_PARAMETERS = {"keepalive": _NUMBER}


@dataclass(frozen=True, slots=True)
class HostUri:
    """A connection URI in its parts.

    Attributes:
        driver: `qemu`, `test`, or `fake` for the portal's own simulated hosts.
        transport: `unix` (this machine), `ssh`, `tls` or `tcp`.
        host: Name or address; empty for this machine.
        user: Whom ssh logs in as; empty where the URI does not say.
    """

    text: str
    driver: str
    transport: str
    host: str
    user: str


def parse(text: str) -> HostUri:
    """Take a URI apart.

    Raises:
        HostUriError: It is not one that a host may have.
    """
    text = text.strip()
    if len(text) > LONGEST:
        raise HostUriError("too_long")
    if not text.isprintable() or " " in text or "#" in text:
        raise HostUriError("characters")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise HostUriError("malformed") from None
    if not parts.scheme or not text.startswith(f"{parts.scheme}://"):
        raise HostUriError("malformed")
    driver, _, named = parts.scheme.partition("+")
    if driver not in TRANSPORTS:
        raise HostUriError("driver", driver)
    if named not in TRANSPORTS[driver]:
        raise HostUriError("in_process" if driver == "test" and not named else "transport", parts.scheme)
    host, user = parts.hostname or "", parts.username or ""
    transport = named or ("tls" if host else "unix")
    _check_place(transport, host, user, port, parts.netloc)
    _check_path(driver, parts.path)
    _check_parameters(driver, transport, parts.query)
    return HostUri(text, driver, transport, host, user)


def _check_place(transport: str, host: str, user: str, port: int | None, place: str) -> None:
    """Refuse a host, user or port that cannot be one, or that this transport does not take."""
    if transport not in _REMOTE:
        if place:
            raise HostUriError("no_host_wanted", place)
        return
    if not host:
        raise HostUriError("host_missing")
    if not _HOST.fullmatch(host) or port == 0:
        raise HostUriError("host", place)
    _, _, credentials = place.rpartition("@")[0].partition(":")
    if credentials:
        raise HostUriError("password")
    if user and (transport != "ssh" or not _USER.fullmatch(user)):
        raise HostUriError("user", user)


def _check_path(driver: str, path: str) -> None:
    if driver == "fake":
        if not _PATH.fullmatch(path):
            raise HostUriError("path", path)
    elif path not in _PATHS[driver]:
        raise HostUriError("path", path)


def _check_parameters(driver: str, transport: str, query: str) -> None:
    try:
        given = parse_qsl(query, keep_blank_values=True, strict_parsing=True) if query else []
    except ValueError:
        raise HostUriError("malformed") from None
    allowed = _FAKE_PARAMETERS if driver == "fake" else _PARAMETERS[transport]
    for name, value in given:
        pattern = allowed.get(name)
        if pattern is None:
            raise HostUriError("parameter", name)
        if not pattern.fullmatch(value):
            raise HostUriError("value", name)
    if len({name for name, _ in given}) != len(given):
        raise HostUriError("twice")
