"""The authority on what goes wrong on the fake host by order: calls that are held, slow, failing or never answered.

Lives in the daemon's memory: a daemon that is started again has no faults.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

BEFORE, AFTER = "before", "after"


@dataclass(frozen=True)
class Target:
    """Which calls are meant; None means any."""

    call: str | None = None
    uuid: str | None = None

    def hits(self, call: str, uuid: str | None) -> bool:
        """Say whether a call is meant."""
        return self.call in (None, call) and self.uuid in (None, uuid)


@dataclass
class Hold:
    """Calls to be stopped on their way, before their effect or after it but before the answer."""

    target: Target
    when: str
    times: int
    held: int = 0
    released: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass
class Failure:
    """Calls to be answered with an error, without having had their effect."""

    target: Target
    times: int
    kind: str
    text: str


class Faults:
    """All faults that were ordered."""

    def __init__(self) -> None:
        self.refusing = False
        self.awake = asyncio.Event()
        self.awake.set()
        self._holds: list[Hold] = []
        self._failures: list[Failure] = []
        self._latencies: dict[Target, float] = {}
        self._changed = asyncio.Condition()

    def fail(self, target: Target, times: int, kind: str, text: str) -> None:
        """Make the next `times` calls fail; 0 takes earlier orders for this target back."""
        self._failures = [failure for failure in self._failures if failure.target != target]
        if times > 0:
            self._failures.append(Failure(target, times, kind, text))

    def failure(self, call: str, uuid: str | None) -> Failure | None:
        """Return how this call is to fail, and count it."""
        failure = next((failure for failure in self._failures if failure.target.hits(call, uuid)), None)
        if failure is not None:
            failure.times -= 1
            if failure.times == 0:
                self._failures.remove(failure)
        return failure

    def delay(self, target: Target, seconds: float) -> None:
        """Make calls take this long before they are carried out."""
        self._latencies[target] = seconds

    def latency(self, call: str, uuid: str | None) -> float:
        """Return how long this call has to take."""
        return max((s for target, s in self._latencies.items() if target.hits(call, uuid)), default=0.0)

    def hold(self, target: Target, when: str, times: int) -> None:
        """Hold the next `times` calls until they are released."""
        self._holds.append(Hold(target, when, times))

    async def held(self, call: str, uuid: str | None, when: str) -> None:
        """Stay here while this call is held."""
        for hold in self._holds:
            if hold.when == when and hold.times > 0 and hold.target.hits(call, uuid):
                hold.times -= 1
                async with self._changed:
                    hold.held += 1
                    self._changed.notify_all()
                await hold.released.wait()
                return

    async def wait_held(self, target: Target, count: int, seconds: float) -> bool:
        """Wait until `count` calls are held by order of this very target; False after `seconds`."""

        def reached() -> bool:
            return sum(hold.held for hold in self._holds if hold.target == target) >= count

        async with self._changed:
            try:
                async with asyncio.timeout(seconds):
                    await self._changed.wait_for(reached)
            except TimeoutError:
                return False
        return True

    def release(self, target: Target) -> int:
        """Let held calls go on, hold no more by this target's order, and return how many were held."""
        mine = [hold for hold in self._holds if hold.target == target]
        self._holds = [hold for hold in self._holds if hold.target != target]
        for hold in mine:
            hold.released.set()
        return sum(hold.held for hold in mine)

    def clear(self) -> None:
        """Take every order back and let every held call go on."""
        for target in {hold.target for hold in self._holds}:
            self.release(target)
        self._failures.clear()
        self._latencies.clear()
        self.refusing = False
        self.awake.set()
