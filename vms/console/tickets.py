"""Single-use tickets for the console: a page asks for one by POST, and its WebSocket hands it in within seconds.

A WebSocket carries the session's cookie wherever it is opened from. That it comes from our page, and from somebody who
may use this console now, is what the ticket shows.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from functools import cache
from uuid import UUID

from django.conf import settings
from redis import Redis

#: Seconds that a ticket is good for.
GOOD_FOR = 20
_PREFIX = "vm-portal.console."


@dataclass(frozen=True, slots=True)
class Ticket:
    """What a ticket says.

    Attributes:
        session: The key of the session that it was given to; nobody else's WebSocket may use it.
    """

    vm: UUID
    user: int
    session: str


@cache
def _redis() -> Redis:
    return Redis.from_url(settings.REDIS_URL, socket_timeout=2, socket_connect_timeout=1)


def give(ticket: Ticket) -> str:
    """Return a new ticket's secret.

    Raises:
        RedisError: There is nowhere to keep it.
    """
    secret = secrets.token_urlsafe(32)
    told = json.dumps({"vm": str(ticket.vm), "user": ticket.user, "session": ticket.session})
    _redis().set(_PREFIX + secret, told, ex=GOOD_FOR)
    return secret


def take(secret: str) -> Ticket | None:
    """Return what a ticket says, and have it used up; None for one that is used, too old, or never was.

    Raises:
        RedisError: Nobody can tell.
    """
    told = _redis().getdel(_PREFIX + secret)
    if told is None:
        return None
    said = json.loads(told)
    return Ticket(UUID(said["vm"]), said["user"], said["session"])
