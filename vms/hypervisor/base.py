"""The port: what the portal needs of a hypervisor, and the errors it may answer with.

Every driver passes one contract suite (`tests/hypervisor`). Drivers are synchronous, may be used by several threads,
and never wait for a guest: a call returns once the hypervisor took it (`destroy` and `start` once they had their
effect).
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Flag, StrEnum, auto
from typing import Any, Protocol

from vms.domain.configuration import Configuration, Part
from vms.domain.disks import Disk
from vms.domain.observation import Observation
from vms.domain.run_options import AS_STORED, RunOptions
from vms.domain.usage import Usage

#: How long a driver may take for the picture of a screen, in seconds.
SCREEN_LIMIT = 2.0


class HypervisorError(Exception):
    """A hypervisor refused or failed a call. The text is the hypervisor's own, fit to be shown to an admin."""


class HostUnreachable(HypervisorError):
    """No connection to the host, or the connection was lost during the call, whose effect is then unknown."""


class DomainNotFound(HypervisorError):
    """No domain with this UUID is defined or running on the host."""


class AgentUnavailable(HypervisorError):
    """The guest agent is absent, or did not take the request within a few seconds."""


class RunChanged(HypervisorError):
    """The run that the call was meant for is over: another one carries on under the same domain, or none."""


class ConfigurationRejected(HypervisorError):
    """The hypervisor cannot have a configuration like that: asking again is of no use."""


class NotSupported(HypervisorError):
    """This hypervisor has no such function."""


class Capability(Flag):
    """What a driver's guests can do; selects the cases of the contract suite."""

    NONE = 0
    AGENT = auto()
    """Guests can have an agent."""
    DISOBEDIENCE = auto()
    """Guests can be slow or ignore a request."""
    SAVE = auto()
    SCREENSHOT = auto()
    RESET_ENDS_RUN = auto()
    """`prepare(end_on_reset=True)` is supported."""


@dataclass(frozen=True, slots=True)
class HostInfo:
    """A host as it presents itself. Versions are for people to read."""

    hostname: str
    hypervisor: str
    version: str


@dataclass(frozen=True, slots=True)
class Domain:
    """One look at one domain with its configuration.

    Attributes:
        uuid: libvirt UUID, lower case with hyphens.
        name: Name on the host.
        description: Free text of the stored definition.
        memory: Current memory, in bytes.
        vcpus: Number of virtual CPUs.
        seen: Its state.
        stored: What the next cold start will use.
        running: What was stored when the run began, as far as it is not known to differ since; None when it is down.
        disks: Disks of the stored definition.
    """

    uuid: str
    name: str
    description: str
    memory: int
    vcpus: int
    seen: Observation
    stored: Configuration
    running: Configuration | None = None
    disks: tuple[Disk, ...] = ()


@dataclass(frozen=True, slots=True)
class GuestInfo:
    """What a guest's agent tells of it.

    Attributes:
        system: Its operating system, fit to be shown; empty where the agent does not say.
        addresses: Its IP addresses, but for those that mean the guest itself, in the order of its interfaces.
    """

    system: str = ""
    addresses: tuple[str, ...] = ()


class EventKind(StrEnum):
    """What a hypervisor tells by itself. Events are hints: what counts is the look that follows."""

    STARTED = "started"
    STOPPED = "stopped"
    CHANGED = "changed"
    """Paused, resumed, asleep, saved, or redefined: look again."""
    AGENT = "agent"
    """The guest agent connected or disconnected."""
    RESET = "reset"
    """The guest restarted itself without its process ending. May arrive several times for one restart."""
    FINAL_RESET = "final_reset"
    """The guest restarted itself, which ends this run (`prepare(end_on_reset=True)`); STOPPED follows. Not every host
    tells of it."""
    UNDEFINED = "undefined"


@dataclass(frozen=True, slots=True)
class DomainEvent:
    """Something happened to a domain at `at` (when the driver heard of it, aware, UTC)."""

    uuid: str
    kind: EventKind
    at: datetime
    detail: str = ""


class Watch(Protocol):
    """A subscription to a host's events."""

    def close(self) -> None:
        """End the subscription; no handler is called once this has returned."""


class Hypervisor(Protocol):
    """A connection to one host.

    Every method may raise `HostUnreachable` and `HypervisorError`; those about one domain `DomainNotFound`.
    """

    capabilities: Capability

    @property
    def alive(self) -> bool:
        """False once the connection is known to be lost or was closed. Asks nobody; never raises."""

    def close(self) -> None:
        """Give the connection up. Idempotent, never raises."""

    def info(self) -> HostInfo:
        """Return what the host says of itself."""

    def domains(self) -> list[Domain]:
        """Look at every domain of the host, defined or running, with as few round trips as the host offers."""

    def observe(self, uuid: str) -> Domain:
        """Look at one domain."""

    def usage(self) -> dict[str, Usage]:
        """Return what each running domain has used so far, by UUID, in one round trip.

        A domain that does not answer at once is left out, or told of in part. This may ask every QEMU of the host, so
        it may take seconds.
        """

    def definition(self, uuid: str) -> str:
        """Return the stored definition of a domain as XML, without the secrets in it."""

    def guest(self, uuid: str) -> GuestInfo:
        """Ask the guest agent what the guest is, within some 8 s.

        Raises:
            AgentUnavailable: No agent listens, or it did not answer.
        """

    def prepare(self, uuid: str, token: str, *, end_on_reset: bool) -> str:
        """Mark the running process of a domain, so that it is known again, and return its token.

        Args:
            token: Written into the run's live metadata unless the run has one already; a run keeps its first token.
            end_on_reset: Also make a reset by the guest end this run (live `on_reboot` becomes `destroy`), so that a
                guest which restarts when told to halt ends all the same. Ignored where it is not supported.

        Raises:
            RunChanged: Nothing is running.
        """

    def relent(self, uuid: str) -> None:
        """Make a reset by the guest do again what the stored definition says. Succeeds when nothing runs."""

    def ask_agent(self, uuid: str, *, reboot: bool = False) -> None:
        """Ask the guest agent to power the guest down, or to restart it. Returns when the agent took it, within 5 s.

        Raises:
            AgentUnavailable: No agent listens, or it refused.
        """

    def press_button(self, uuid: str) -> None:
        """Press the ACPI power button. That the guest heard it is not known."""

    def destroy(self, uuid: str, run_token: str | None) -> None:
        """End a domain's process at once. Succeeds when nothing runs.

        Args:
            run_token: The run to end; None ends whichever runs.

        Raises:
            RunChanged: Another run than `run_token`'s is running; it was not touched.
        """

    def start(self, uuid: str, options: RunOptions = AS_STORED) -> None:
        """Start a domain by its stored definition, restoring saved memory if there is any.

        Succeeds when it runs already.

        Args:
            options: What this one run does differently. The stored definition is not touched. With any option, saved
                memory is refused: restoring it later over changed disks would destroy them.
        """

    def configure(self, uuid: str, values: Mapping[Part, Any], revert: Collection[Part] = ()) -> None:
        """Change the stored definition of a domain, whether it runs or not. Doing it twice is doing it once.

        Args:
            values: The new value of each part, as `vms.domain.configuration.checked` accepts it.
            revert: Parts that are to be again as in the running process. Nothing when none runs.

        Raises:
            ConfigurationRejected: It cannot be configured like that.
        """

    def define(self, uuid: str, name: str, wanted: Configuration) -> None:
        """Define a new domain, which is down and can have an agent.

        Succeeds when one of this UUID is there already, and leaves it as it is.

        Args:
            wanted: Its configuration, but for disks and interfaces: it has none.

        Raises:
            ConfigurationRejected: It cannot be configured like that, or another domain has the name.
        """

    def save(self, uuid: str) -> None:
        """Begin to save a domain's memory to its host (managed save) and end its process.

        Returns within a few seconds, with the job perhaps still under way (`Observation.job`).
        """

    def resume(self, uuid: str) -> None:
        """Let a paused domain run on, or wake a sleeping one. Succeeds when it runs already."""

    def discard_memory(self, uuid: str) -> None:
        """Remove saved memory. Succeeds when there is none."""

    def undefine(self, uuid: str) -> None:
        """Remove the definition of a domain that is down, with its firmware variables (NVRAM), saved memory, and the
        records of its snapshots and checkpoints. Its disks are not touched.

        Raises:
            HypervisorError: It runs; it was left as it is.
        """

    def remove_disk(self, uuid: str, source: str) -> None:
        """Remove the data of a disk that belonged to a domain which is no longer defined. Succeeds when there is none.

        Args:
            uuid: The domain that it belonged to.
            source: As `Disk.source` named it.

        Raises:
            HypervisorError: That domain is defined, another domain uses the disk or an image that is based on it, or
                the host's storage API does not reach it. The text says which, and what one can do.
        """

    def screenshot(self, uuid: str) -> bytes:
        """Return the guest's screen as PNG, within `SCREEN_LIMIT`: a power-off waits for it, of a QEMU that may hang.

        Raises:
            NotSupported: It has none.
        """

    def display(self, uuid: str) -> socket.socket:
        """Return a connection to the display of a domain that runs, which speaks RFB (VNC). The caller closes it.

        Raises:
            RunChanged: Nothing is running.
            NotSupported: It has none, or none that can be reached from here. The text says what to do.
        """

    def watch(self, handler: Callable[[DomainEvent], None], lost: Callable[[str], None]) -> Watch:
        """Subscribe to events.

        Args:
            handler: Called for each event, in a thread of the driver's; must return quickly.
            lost: Called once, with the reason, when the connection is gone and no more events will come.
        """
