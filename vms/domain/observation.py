"""What a hypervisor tells of one domain at one moment, and the VM status that follows from it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from vms.domain.power import Action, VmStatus

#: How long a VM with an agent channel may run before it counts as up without its agent.
UP_WITHOUT_AGENT_AFTER = timedelta(seconds=60)


class DomainState(StrEnum):
    """State of a domain's process."""

    DOWN = "down"
    RUNNING = "running"
    PAUSED = "paused"
    """Its CPUs stand still: paused by a person, an I/O error, or crashed and preserved."""
    SLEEPING = "sleeping"
    """The guest put itself to sleep (libvirt: pmsuspended)."""


class DownReason(StrEnum):
    """How a domain that is down got there, as far as the hypervisor knows."""

    GUEST = "guest"
    """The guest powered itself off."""
    DESTROYED = "destroyed"
    """Somebody destroyed it."""
    CRASHED = "crashed"
    """Its process died."""
    SAVED = "saved"
    UNKNOWN = "unknown"


class Proof(StrEnum):
    """What shows that a VM which was started, or let run on, is back."""

    AGENT = "agent"
    """Its guest agent is connected."""
    RUNNING = "running"
    """It runs; nothing tells of its guest, which has no agent or whose agent nobody waited for."""
    AGENT_LATE = "agent_late"
    """It has run for a minute; its agent has not connected."""
    ASLEEP = "asleep"
    """Its guest has put itself to sleep."""
    PAUSED = "paused"
    """Somebody has paused it since."""


class Job(StrEnum):
    """A long-running job of the hypervisor on a domain."""

    NONE = "none"
    SAVING = "saving"
    MIGRATING = "migrating"


@dataclass(frozen=True, slots=True)
class Observation:
    """One look at one domain.

    Attributes:
        state: State of its process.
        run_token: Token that the portal wrote into this run's live metadata, None when this run has none
            (or nothing runs). A token that is still there means: still the same run.
        down_reason: How it went down; UNKNOWN while it is not down.
        managed_save: Its memory is saved on the host and would be restored by the next start.
        agent_channel: A guest-agent channel is configured in the run (or, when down, in the stored definition).
        agent_connected: The guest agent is connected now.
        acpi: The domain has ACPI.
        persistent: It is defined, so it will still be there when it is down.
        job: Long-running job in progress.
        crashed: The guest crashed, and its run is preserved as it was then; its state is PAUSED.
        reset_ends_run: `on_reboot` of this run is `destroy`: a guest that resets ends the run.
        run_once: This run was started with other than the stored configuration.
        stateless: What this run writes to its disks is dropped when it ends.
    """

    state: DomainState
    run_token: str | None = None
    down_reason: DownReason = DownReason.UNKNOWN
    managed_save: bool = False
    agent_channel: bool = False
    agent_connected: bool = False
    acpi: bool = True
    persistent: bool = True
    job: Job = Job.NONE
    crashed: bool = False
    reset_ends_run: bool = False
    run_once: bool = False
    stateless: bool = False

    @property
    def down(self) -> bool:
        """True when no process runs."""
        return self.state is DomainState.DOWN

    @property
    def left_armed(self) -> bool:
        """True when a reset by the guest ends a run that bears the portal's mark: perhaps by the portal's doing."""
        return self.run_token is not None and self.reset_ends_run


def is_up(seen: Observation, running_since: datetime | None, now: datetime) -> bool:
    """Say whether a running VM counts as up: its agent connected, or has none, or is 60 s late."""
    proof = proof_of_return(seen, running_since, now)
    if proof is Proof.RUNNING:
        return not seen.agent_channel
    return proof in (Proof.AGENT, Proof.AGENT_LATE, Proof.ASLEEP)


def proof_of_return(seen: Observation, running_since: datetime | None, now: datetime) -> Proof | None:
    """Return what shows that a VM runs again; None for one that is down."""
    match seen.state:
        case DomainState.DOWN:
            return None
        case DomainState.PAUSED:
            return Proof.PAUSED
        case DomainState.SLEEPING:
            return Proof.ASLEEP
    if seen.agent_connected:
        return Proof.AGENT
    late = running_since is not None and now >= running_since + UP_WITHOUT_AGENT_AFTER
    return Proof.AGENT_LATE if seen.agent_channel and late else Proof.RUNNING


#: What a VM shows while an operation of this kind has not yet brought its VM where it wants it.
_STATUS_WHILE: dict[Action, VmStatus] = {
    Action.RUN: VmStatus.WAIT_FOR_LAUNCH,
    Action.RUN_ONCE: VmStatus.WAIT_FOR_LAUNCH,
    Action.SHUT_DOWN: VmStatus.POWERING_DOWN,
    Action.POWER_OFF: VmStatus.POWERING_DOWN,
    Action.REBOOT: VmStatus.REBOOT_IN_PROGRESS,
    Action.POWER_CYCLE: VmStatus.REBOOT_IN_PROGRESS,
    Action.SUSPEND: VmStatus.SAVING_STATE,
    Action.RESUME: VmStatus.RESTORING_STATE,
    Action.REMOVE: VmStatus.IMAGE_LOCKED,
}


def status_while(action: Action, *, started: bool = False, restoring: bool = False) -> VmStatus:
    """Return the status a VM shows while `action` is in progress on it.

    Args:
        started: The operation has started the VM and waits for it to come up.
        restoring: A Run that brings saved memory back.
    """
    if started:
        return VmStatus.POWERING_UP
    if restoring:
        return VmStatus.RESTORING_STATE
    return _STATUS_WHILE[action]


def status_at_rest(seen: Observation, running_since: datetime | None, now: datetime) -> VmStatus:
    """Return the status of a VM that no operation is active on."""
    if seen.job is Job.MIGRATING:
        return VmStatus.MIGRATING
    if seen.job is Job.SAVING:
        return VmStatus.SAVING_STATE
    if seen.state is DomainState.PAUSED:
        return VmStatus.PAUSED
    if seen.down:
        return VmStatus.SUSPENDED if seen.managed_save else VmStatus.DOWN
    return VmStatus.UP if is_up(seen, running_since, now) else VmStatus.POWERING_UP
