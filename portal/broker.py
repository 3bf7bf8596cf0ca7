"""Keeps a worker alive when Redis is lost under a running task.

The worker closes the broken connection at once, and the task's acknowledgement comes to the closed channel later. In
kombu 5.7 that channel then answers with an AttributeError, which nobody expects and which ends the worker and with it
the tasks in hand. A connection error is expected there, logged, and overcome by connecting again.
"""

from typing import Any

from kombu.transport import redis as transport
from redis.exceptions import ConnectionError as RedisConnectionError


class Channel(transport.Channel):
    """A channel that says it is closed, in words its callers understand."""

    def _connparams(self, asynchronous: bool = False) -> dict[str, Any]:
        """Find out how to connect. Raises a connection error once the connection is closed."""
        if getattr(self.connection, "client", None) is None:
            message = "the connection to the broker was closed"
            raise RedisConnectionError(message)
        parameters: dict[str, Any] = super()._connparams(  # type: ignore[misc]  # missing in the types
            asynchronous=asynchronous
        )
        return parameters


def install() -> None:
    """Have every connection to Redis use this channel."""
    transport.Transport.Channel = Channel
