"""The authority on handing events to subscribers: none is called any more once its subscription was closed."""

from __future__ import annotations

import threading
from collections.abc import Callable

from vms.hypervisor.base import DomainEvent


class Subscription:
    """One subscriber; a `Watch`."""

    def __init__(
        self,
        handler: Callable[[DomainEvent], None],
        lost: Callable[[str], None],
        forget: Callable[[Subscription], None],
    ) -> None:
        self._handler, self._lost, self._forget = handler, lost, forget
        # Held while a handler runs, so that `close` waits for it; a handler itself may close.
        self._lock = threading.RLock()
        self._open = True

    def tell(self, event: DomainEvent) -> None:
        """Call the handler, unless closed."""
        with self._lock:
            if self._open:
                self._handler(event)

    def tell_lost(self, reason: str) -> None:
        """Say, at most once, that no more events will come, unless closed."""
        with self._lock:
            if self._open:
                self._open = False
                self._lost(reason)

    def close(self) -> None:
        """End the subscription."""
        with self._lock:
            self._open = False
        self._forget(self)


class Subscriptions:
    """All subscribers of one connection."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._all: list[Subscription] = []

    def add(self, handler: Callable[[DomainEvent], None], lost: Callable[[str], None]) -> Subscription:
        """Return a new subscription."""
        subscription = Subscription(handler, lost, self._forget)
        with self._lock:
            self._all.append(subscription)
        return subscription

    def tell(self, event: DomainEvent) -> None:
        """Hand an event to every subscriber."""
        with self._lock:
            subscriptions = list(self._all)
        for subscription in subscriptions:
            subscription.tell(event)

    def tell_lost(self, reason: str) -> None:
        """Tell every subscriber that the connection is lost, and forget them."""
        with self._lock:
            subscriptions, self._all = self._all, []
        for subscription in subscriptions:
            subscription.tell_lost(reason)

    def _forget(self, subscription: Subscription) -> None:
        with self._lock:
            if subscription in self._all:
                self._all.remove(subscription)
