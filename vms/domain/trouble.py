"""The authority on what is wrong with a host that cannot be reached: libvirt's error text in, a known trouble out.

libvirt has one code for nearly all of it (38, a system error of the RPC layer), so the text tells. It is English,
because the portal's processes leave the locale's messages alone. The texts in the tests are those of libvirt 9.0 and
OpenSSH 9.2.
"""

from __future__ import annotations

import re
from enum import StrEnum


class Trouble(StrEnum):
    """Why a host cannot be reached, as far as its admin can do something about it."""

    NO_DRIVER = "no_driver"
    WRONG_PATH = "wrong_path"
    """The daemon serves /session and was asked for /system, or the other way round."""
    NO_SOCKET = "no_socket"
    """Nobody listens on the local socket."""
    NO_ACCESS = "no_access"
    """The local socket or libvirt's policy does not let the portal's user in."""
    REFUSED = "refused"
    NOT_RESOLVED = "not_resolved"
    NO_ROUTE = "no_route"
    NO_ANSWER = "no_answer"
    TLS_FILES = "tls_files"
    """The portal's own certificate, key or CA certificate is missing or cannot be read."""
    TLS_UNTRUSTED = "tls_untrusted"
    """The host's certificate has another signer, or another name. libvirt does not say which of the two."""
    TLS_TIME = "tls_time"
    TLS_REJECTED = "tls_rejected"
    """The host does not accept the portal's certificate, or does not speak TLS on that port."""
    SSH_MISSING = "ssh_missing"
    SSH_KEY_FILE = "ssh_key_file"
    SSH_KEY_REFUSED = "ssh_key_refused"
    SSH_HOST_UNKNOWN = "ssh_host_unknown"
    SSH_HOST_CHANGED = "ssh_host_changed"
    SSH_NO_LIBVIRT = "ssh_no_libvirt"
    """Logged in, but libvirt does not answer there."""
    AUTHENTICATION = "authentication"
    HUNG_UP = "hung_up"
    UNKNOWN = "unknown"


#: The first that fits counts, so the particular comes before the general.
_SIGNS: tuple[tuple[Trouble, str], ...] = (
    (Trouble.SSH_HOST_CHANGED, r"REMOTE HOST IDENTIFICATION HAS CHANGED"),
    (Trouble.SSH_HOST_UNKNOWN, r"Host key verification failed"),
    (Trouble.SSH_MISSING, r"Cannot find 'ssh' in path|cannot execute binary ssh|unable to execute.*ssh"),
    (Trouble.NOT_RESOLVED, r"Could not resolve hostname|Unable to resolve address"),
    (Trouble.REFUSED, r"ssh: connect to host .* Connection refused"),
    (Trouble.NO_ROUTE, r"No route to host|Network is unreachable"),
    (Trouble.NO_ANSWER, r"Connection timed out|Operation timed out"),
    (Trouble.SSH_KEY_FILE, r"Identity file .* not accessible|UNPROTECTED PRIVATE KEY|Load key .*: "),
    (Trouble.SSH_KEY_REFUSED, r"Permission denied \([a-z,-]+\)|Too many authentication failures"),
    (
        Trouble.SSH_NO_LIBVIRT,
        r"Cannot recv data: .*(command not found|: not found|Failed to connect socket|nc: |ncat: |unixclient)",
    ),
    (Trouble.TLS_TIME, r"[Cc]ertificate.* (has expired|is not yet active|is not yet valid)"),
    (Trouble.TLS_FILES, r"Our own certificate|Cannot read (CA )?(certificate|private key)|Unable to (import|set x509)"),
    (
        Trouble.TLS_UNTRUSTED,
        r"Failed to verify peer's certificate|certificate is not trusted|does not match the hostname",
    ),
    (Trouble.TLS_REJECTED, r"TLS|certificate"),
    (
        Trouble.NO_ACCESS,
        r"Failed to connect socket.*Permission denied|polkit|access denied|authentication unavailable",
    ),
    (Trouble.AUTHENTICATION, r"authentication (failed|cancelled)|SASL|[Mm]issing authentication credentials"),
    (Trouble.WRONG_PATH, r"unexpected \w+ URI path"),
    (Trouble.NO_DRIVER, r"no connection driver available|[Nn]o (suitable )?driver|is not built"),
    (Trouble.NO_SOCKET, r"(Failed to connect socket|cannot connect to the fake host).*(No such file|refused)"),
    (Trouble.REFUSED, r"Connection refused"),
    (Trouble.NO_ANSWER, r"does not answer|did not answer|no connection .*within|connection was lost|keepalive"),
    (Trouble.HUNG_UP, r"End of file|reset by peer|closed the connection|Broken pipe|socket is closed|connection broke"),
)
_COMPILED = tuple((trouble, re.compile(sign, re.DOTALL)) for trouble, sign in _SIGNS)


def diagnose(text: str) -> Trouble:
    """Name the trouble that a host's error text tells of."""
    return next((trouble for trouble, sign in _COMPILED if sign.search(text)), Trouble.UNKNOWN)
