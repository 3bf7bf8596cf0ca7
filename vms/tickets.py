"""Single-use tickets for the console: a page asks for one by POST, and its WebSocket hands it in within seconds.

A WebSocket carries the session's cookie wherever it is opened from. That it comes from our page, and from somebody who
may use this console now, is what the ticket shows.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import asdict, dataclass
from functools import cache
from hashlib import sha256

from django.conf import settings
from redis import Redis

#: Where a WebSocket hands its ticket in, as `?ticket=`.
SOCKET_PATH = "/console/"
#: Seconds that a ticket is good for.
GOOD_FOR = 20
_PREFIX = "vm-portal.console."


@dataclass(frozen=True, slots=True)
class Ticket:
    """What a ticket says.

    Attributes:
        vm: The VM's id.
        user: The person's id.
        session: The fingerprint of the session that it was given to; nobody else's WebSocket may use it.
        correlation_id: Of the request that asked for it.
    """

    vm: str
    user: int
    session: str
    correlation_id: str


def fingerprint(session: str) -> str:
    """Return what stands for a session's key, which itself is as good as a password and is kept nowhere else."""
    return sha256(session.encode()).hexdigest()


@cache
def _redis() -> Redis:
    return Redis.from_url(settings.REDIS_URL, socket_timeout=2, socket_connect_timeout=1)


def give(ticket: Ticket) -> str:
    """Return a new ticket's secret.

    Raises:
        RedisError: There is nowhere to keep it.
    """
    secret = secrets.token_urlsafe(32)
    _redis().set(_PREFIX + secret, json.dumps(asdict(ticket)), ex=GOOD_FOR)
    return secret


def take(secret: str) -> Ticket | None:
    """Return what a ticket says, and have it used up; None for one that is used, too old, or never was.

    Raises:
        RedisError: Nobody can tell.
    """
    told = _redis().getdel(_PREFIX + secret)
    return Ticket(**json.loads(told)) if told is not None else None
