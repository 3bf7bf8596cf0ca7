"""Sends what has changed through Redis to every web process, from whichever process changed it."""

from __future__ import annotations

import json
import time
from functools import cache
from typing import Any
from uuid import UUID

import structlog
from django.conf import settings
from django.dispatch import receiver
from redis import Redis
from redis.exceptions import RedisError

from vms.engine.changes import changed

log = structlog.get_logger(__name__)

CHANNEL = "vm-portal.changes"
#: Seconds that a Redis which is away may cost whoever publishes, and for how long it is left alone then.
_PATIENCE = 0.3
_LEFT_ALONE_FOR = 5.0

_quiet_until = 0.0


@cache
def _client() -> Redis:
    return Redis.from_url(settings.REDIS_URL, socket_timeout=_PATIENCE, socket_connect_timeout=_PATIENCE)


@receiver(changed)
def publish(vms: frozenset[UUID], topics: frozenset[str], **_: Any) -> None:
    """Publish a change. Where Redis is away, pages find out by asking."""
    global _quiet_until  # noqa: PLW0603  (one for each process, like the connection)
    if not settings.LIVE_STREAM or time.monotonic() < _quiet_until:
        return
    message = json.dumps({"vms": [str(vm) for vm in vms], "topics": sorted(topics)})
    try:
        _client().publish(CHANNEL, message)
    except RedisError as error:
        _quiet_until = time.monotonic() + _LEFT_ALONE_FOR
        log.warning("Redis away; open pages are told nothing for a while", error=str(error))
