"""The fake host without its daemon: the same machines and the same log, on the clock of the simulation."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID

from tests.faults.dying import Processes
from vms.hypervisor.base import HostUnreachable, HypervisorError, NotSupported
from vms.hypervisor.fake import LogEntry, Temper, screen
from vms.hypervisor.fake.calls import CALLS
from vms.hypervisor.fake.host import FakeHost
from vms.hypervisor.fake.store import Store

URI = "fake+unix:///simulated"
_PID = 1
#: What a call takes at least, in seconds.
_MOMENT = 0.004


class SimulatedHost:
    """A host with its machines, and everything that can go wrong on the way to it.

    Attributes:
        away: It cannot be reached.
        latency: Seconds that the next call takes before it is carried out.
        answers_lost: So many calls are carried out, and their answers lost with the connection.
        calls_late: For each of the next calls: it is lost with the connection, and carried out so many seconds later.
    """

    def __init__(self, now: Callable[[], float], shift: Callable[[float], None], processes: Processes) -> None:
        self._now, self._shift, self._processes = now, shift, processes
        self._store = Store(Path(":memory:"))
        self._due: dict[str, float] = {}
        self._late: list[tuple[float, int, str, str, dict[str, Any]]] = []
        self._order = count()
        self._failing: Counter[str] = Counter()
        self._in_hand: tuple[str, str, dict[str, Any]] = ("", "", {})
        self.away = False
        self.latency = 0.0
        self.answers_lost = 0
        self.calls_late: list[float] = []
        self.emit: Callable[[dict[str, Any]], None] = lambda event: None
        self._host = self._new_daemon()

    # What tests do to it.

    def define(self, name: str, temper: Temper) -> UUID:
        """Define a running domain."""
        return UUID(self._host.define({"temper": temper.__dict__}, [name], running=True)[0])

    def set_temper(self, uuid: UUID, temper: Temper) -> None:
        """Give a guest another temper."""
        self._host.change(str(uuid), {"temper": temper.__dict__})

    def hand(self, uuid: UUID, verb: str) -> None:
        """Do what another hand, or the guest, does."""
        self._host.hand(str(uuid), verb)

    def fail(self, call: str, times: int) -> None:
        """Make the next calls of a kind fail."""
        self._failing[call] = times

    def restart(self) -> None:
        """Kill the daemon and start it again: the guests live on, a save under way does not."""
        self._due.clear()
        self._host = self._new_daemon()

    def heal(self) -> None:
        """Let nothing go wrong any more."""
        self.away, self.latency, self.answers_lost = False, 0.0, 0
        self.calls_late.clear()
        self._failing.clear()

    def log(self, after: int = 0) -> list[LogEntry]:
        """Return the log's lines after number `after`."""
        return [LogEntry(**fields) for fields in self._host.log(None, after)]

    def inside(self, uuid: UUID) -> dict[str, Any]:
        """Return everything about a domain.

        Raises:
            DomainNotFound: It is not defined any more.
        """
        return self._host.inside(str(uuid))

    def _new_daemon(self) -> FakeHost:
        host = FakeHost(self._store, self._now, self._emit, self._plan)
        host.load()
        return host

    def _emit(self, event: dict[str, Any]) -> None:
        self.emit(event)

    # Time.

    def next_due(self) -> float | None:
        """Return when something will happen by itself."""
        moments = [*self._due.values(), *(self._late[0][:1] if self._late else ())]
        return min(moments, default=None)

    def happen(self) -> None:
        """Let happen what is due now."""
        now = self._now()
        while self._late and self._late[0][0] <= now:
            _, _, name, uuid, arguments = heapq.heappop(self._late)
            try:
                self._host.call(name, uuid, arguments, _PID)
            except HypervisorError:
                continue
        for uuid, due in list(self._due.items()):
            if due <= now:
                self._host.advance(uuid)

    def _plan(self, uuid: str, due: float | None) -> None:
        if due is None:
            self._due.pop(uuid, None)
        else:
            self._due[uuid] = due

    # A connection, as the driver knows it.

    def connect(self, path: str, role: str, *, on_event: Callable[[dict[str, Any]], None], **_: Any) -> SimulatedHost:
        """Take the place of the driver's channel to the daemon."""
        self.emit = on_event
        return self

    @property
    def lost(self) -> str | None:
        """Whether the driver has to connect anew: never, it is told of each loss by the call that meets it."""
        return None

    def close(self) -> None:
        """Close the connection, of which there is none."""

    def call(self, name: str, uuid: str = "", **arguments: Any) -> Any:
        """Answer the driver."""
        if name in CALLS:
            return self._act(name, uuid, arguments)
        if self.away:
            raise HostUnreachable("the host is away")
        match name:
            case "observe":
                return self._host.observe(uuid)
            case "domains":
                return self._host.domains()
            case "screenshot":
                return screen.picture(self._host.observe(uuid))
            case "info":
                return {"hostname": "simulated", "hypervisor": "fake", "version": "1"}
            case "watch":
                return None
        raise NotSupported(f"no call {name}")

    def _act(self, name: str, uuid: str, arguments: dict[str, Any]) -> Any:
        """Carry a call out that changes a domain, if nothing is in its way."""
        self._in_hand = (name, uuid, arguments)
        self._processes.reached(name, done=False)
        if self.calls_late and not self.away:
            # Lost at once: that no call comes later than the engine lets it settle is the engine's premise.
            self.carry_out_late(self.calls_late.pop(0))
            raise HostUnreachable("the connection was lost")
        latency, self.latency = max(self.latency, _MOMENT), 0.0
        self._shift(latency)
        if self.away:
            raise HostUnreachable("the host is away")
        if self._failing[name] > 0:
            self._failing[name] -= 1
            self._host.refuse(name, uuid, "ordered to fail", _PID)
            raise HypervisorError("ordered to fail")
        result = self._host.call(name, uuid, arguments, _PID)
        if self.answers_lost:
            self.answers_lost -= 1
            raise HostUnreachable("the connection was lost")
        self._processes.reached(name, done=True)
        return result

    def carry_out_late(self, seconds: float) -> None:
        """Carry the call in hand out some seconds later: who sent it is not there any more to be answered."""
        name, uuid, arguments = self._in_hand
        heapq.heappush(self._late, (self._now() + seconds, next(self._order), name, uuid, arguments))
