"""The authority on webhooks: where the portal may post to, how it signs, and when it tries again or gives up."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from urllib.parse import urlsplit

#: The headers of a delivery. The signature is over the moment of the attempt and the body.
SIGNATURE = "X-Portal-Signature"
#: The same at every attempt: a receiver tells a repetition by it.
DELIVERY = "X-Portal-Delivery"
ATTEMPT = "X-Portal-Attempt"
#: The event's code, or `test`.
EVENT = "X-Portal-Event"

#: Gaps between attempts; the last one holds from then on.
RETRY_GAPS = tuple(timedelta(minutes=minutes) for minutes in (1, 2, 5, 10, 30, 60))
#: A delivery that is so old is given up, and a webhook that has taken nothing for so long is switched off.
GIVE_UP_AFTER = timedelta(days=3)

#: oVirt's words, from the least.
SEVERITIES = ("normal", "warning", "error")

LONGEST_URL = 500
_PORTS = {"http": 80, "https": 443}
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?|[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*")
_CHARACTERS = re.compile(r"[!-~]+")

#: What an IPv4 address may follow in an IPv6 address: compatible, mapped, NAT64.
_CARRIERS = tuple(IPv6Network(network) for network in ("::/96", "::ffff:0:0/96", "64:ff9b::/96"))


class WebhookError(ValueError):
    """A URL is not one that the portal posts to.

    Attributes:
        code: Why, as a stable word; the sentence for people is made from it in `vms.labels`.
    """

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True)
class Target:
    """A URL in the parts that a request is made of.

    Attributes:
        place: Host and port as the URL has them.
        path: With the query.
    """

    tls: bool
    host: str
    port: int
    place: str
    path: str


def target(url: str) -> Target:
    """Return the parts of a URL.

    Raises:
        WebhookError: `too_long`, `malformed`, `scheme`, `login` or `host`.
    """
    if len(url) > LONGEST_URL:
        raise WebhookError("too_long")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise WebhookError("malformed") from None
    if not _CHARACTERS.fullmatch(url) or parts.fragment or port == 0:
        raise WebhookError("malformed")
    if parts.scheme not in _PORTS:
        raise WebhookError("scheme")
    if "@" in parts.netloc:
        raise WebhookError("login")
    host = parts.hostname or ""
    if not _HOST.fullmatch(host):
        raise WebhookError("host")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(parts.scheme == "https", host, port or _PORTS[parts.scheme], parts.netloc, path)


def may_connect(address: str, *, private: bool) -> bool:
    """Say whether the portal may post to an IP address.

    Args:
        private: Also within this machine and its networks, not only to addresses of the Internet.
    """
    ip = _meant(address)
    if ip.is_multicast or ip.is_unspecified:
        return False
    site_local = isinstance(ip, IPv6Address) and ip.is_site_local
    return private or (ip.is_global and not site_local)


def _meant(address: str) -> IPv4Address | IPv6Address:
    """Return the IPv4 address that an IPv6 address stands for, or else the address itself."""
    ip = ip_address(address)
    if isinstance(ip, IPv4Address) or ip == IPv6Address("::1"):
        return ip
    if any(ip in carrier for carrier in _CARRIERS):
        return IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip.sixtofour or ip


def new_secret() -> str:
    """Return a secret that nobody guesses."""
    return f"whsec_{secrets.token_urlsafe(32)}"


def signature(secret: str, moment: int, body: bytes) -> str:
    """Return the signature of a body: HMAC-SHA256 over the moment, a full stop, and the body.

    Args:
        moment: Of the attempt, in seconds since 1970, so that nobody can send an old delivery again.
    """
    digest = hmac.new(secret.encode(), b"%d." % moment + body, hashlib.sha256).hexdigest()
    return f"t={moment},v1={digest}"


def chooses(codes: Collection[int], least: str, code: int, severity: str) -> bool:
    """Say whether an event is among those that were chosen.

    Args:
        codes: Those wanted; none are all.
        least: The least severity that is wanted.
    """
    return (not codes or code in codes) and SEVERITIES.index(severity) >= SEVERITIES.index(least)


def retry_gap(failures: int) -> timedelta:
    """Return how long to wait after the failure of this number, from 1."""
    return RETRY_GAPS[min(failures, len(RETRY_GAPS)) - 1]
