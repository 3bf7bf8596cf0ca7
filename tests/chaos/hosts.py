"""Hosts that can be killed, and that tell what their guests did: by their own log, not by what the portal says."""

from __future__ import annotations

import random
import tempfile
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self
from uuid import UUID

from tests.support.fake import FakeDaemon
from vms.hypervisor.fake import ACPI_ONLY, OBEDIENT, STUBBORN, Agent, LogEntry, Reaction, Temper


class Host(Protocol):
    """What chaos needs of a host.

    Attributes:
        uri: What the portal connects to.
        directory: Short, for everything of this run.
        count: How many VMs there are.
        delays: Graceful delays that make sense for its guests, in seconds.
        pause: The longest a person waits between two requests, in seconds.
        grain: How far its times may be off, in seconds.
        kill_every: The shortest and the longest time between two kills, in seconds.
    """

    uri: str
    directory: Path
    count: int
    delays: tuple[int, ...]
    pause: float
    grain: float
    kill_every: tuple[float, float]

    def kill(self) -> None:
        """SIGKILL its daemon, and start it again."""

    def log(self) -> list[LogEntry]:
        """Return what was done to its domains, and what became of them, as the fake host's log has it."""

    def inside(self, uuid: UUID) -> dict[str, Any]:
        """Return what is so of a domain now, as the fake host's machine has it."""


#: Guests of every kind.
TEMPERS = (
    OBEDIENT,
    OBEDIENT,
    ACPI_ONLY,
    STUBBORN,
    Temper(boot=1.0, slow=1.0),
    Temper(boot=2.0, slow=6.0),
    Temper(slow=12.0, agent=Agent.NONE),
    Temper(agent=Agent.REFUSES, slow=2.0),
    Temper(agent=Agent.OFF, button=False),
    Temper(agent=Agent.NONE, acpi=False),
    Temper(told_to_halt=Reaction.REBOOT, slow=1.0, boot=1.0),
    Temper(save=3.0, slow=0.5),
)


class SimulatedHost:
    """The fake host, with guests of mixed tempers."""

    delays: tuple[int, ...] = (1, 2, 5, 10)
    pause = 1.0
    grain = 0.005
    kill_every = (0.5, 4.0)

    def __init__(self, count: int, seed: int) -> None:
        self.count = count
        self._chance = random.Random(f"guests {seed}")
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self.directory = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="vmp-chaos-")))
        self._daemon = FakeDaemon(self.directory)
        self._daemon.start()
        self._stack.callback(self._daemon.close)
        self.uri = self._daemon.uri
        for number in range(self.count):
            self._daemon.control.define(f"chaos{number:03}", self._chance.choice(TEMPERS))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def kill(self) -> None:
        """SIGKILL the daemon, and start it again; its guests live on."""
        self._daemon.kill()
        self._daemon.start()

    def log(self) -> list[LogEntry]:
        """Return the daemon's log, which survives it."""
        return self._daemon.control.log()

    def inside(self, uuid: UUID) -> dict[str, Any]:
        """Return everything about a domain."""
        return self._daemon.control.inside(str(uuid))
