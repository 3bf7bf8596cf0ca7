"""Waiting in tests: for a condition, with a deadline, never for a fixed time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_until(condition: Callable[[], T | None], what: str, timeout: float = 10.0, interval: float = 0.01) -> T:
    """Return the first true value of `condition`.

    Args:
        what: What is waited for, in words, for the failure's message.
        timeout: In seconds.

    Raises:
        AssertionError: After `timeout` seconds.
    """
    deadline = time.monotonic() + timeout
    while True:
        if value := condition():
            return value
        if time.monotonic() >= deadline:
            raise AssertionError(f"waited {timeout} s in vain until {what}")
        time.sleep(interval)
