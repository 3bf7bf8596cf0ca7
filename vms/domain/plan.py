"""The authority on what an action will do to a VM, in order and with times, before anybody confirms it.

The plan is what the confirmation shows, what the API's dry run answers, and what is stored with the operation.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from vms.domain.configuration import Change
from vms.domain.observation import DomainState, Observation
from vms.domain.policy import Policy
from vms.domain.power import COLD_START_ACTIONS, GRACEFUL_ACTIONS, RUNNING_ACTIONS, Action, VmStatus
from vms.domain.run_options import AS_STORED, RunOptions


class PlanKind(StrEnum):
    """What one line of a plan announces."""

    ASK_AGENT = "ask_agent"
    ASK_RESTART = "ask_restart"
    PRESS_BUTTON = "press_button"
    POWER_OFF = "power_off"
    GIVE_UP = "give_up"
    DISCARD_MEMORY = "discard_memory"
    START = "start"
    RESTORE = "restore"
    RESUME = "resume"
    SAVE = "save"
    UNDEFINE = "undefine"
    KEEP_DISKS = "keep_disks"
    REMOVE_DISKS = "remove_disks"
    FORGET = "forget"
    """Take a VM that is gone off the portal's list."""
    REFUSED = "refused"
    """Nothing could be done: no agent, no ACPI, and force is off."""


class Consequence(StrEnum):
    """What an operation brings about besides, and a person must know before confirming it."""

    APPLIES_CHANGES = "applies_changes"
    MAY_KEEP_CHANGES_WAITING = "may_keep_changes_waiting"
    """The request says not to force it; when it gives up, the changes are not applied."""
    ENDS_RUN_ONCE = "ends_run_once"
    LOSES_DISK_WRITES = "loses_disk_writes"
    RUNS_STATELESS = "runs_stateless"
    DIFFERS_ONCE = "differs_once"


@dataclass(frozen=True, slots=True)
class Situation:
    """What a plan depends on besides the action and the policy.

    Attributes:
        seen: The last look at the VM.
        changes: Changes of its configuration that wait for the next cold start.
        restart_inside: Its policy prefers a restart inside the guest.
        options: How it will be run, where the action runs it.
        gone: It is no longer defined on its host.
        has_disks: It has disks that could go with it.
        disks: Sources of those that are to go, where the action removes it.
    """

    seen: Observation
    changes: tuple[Change, ...] = ()
    restart_inside: bool = False
    options: RunOptions = AS_STORED
    gone: bool = False
    has_disks: bool = False
    disks: tuple[str, ...] = ()

    @property
    def needs_cold_start(self) -> bool:
        """True when only a new process does what a reboot is to bring about."""
        return bool(self.changes) or self.seen.run_once or self.seen.stateless or self.options.stateless


@dataclass(frozen=True, slots=True)
class PlanStep:
    """One line of a plan.

    Attributes:
        kind: What is done.
        after: Seconds after the first step, or None when the moment is not fixed (once the VM is down).
    """

    kind: PlanKind
    after: int | None = None


@dataclass(frozen=True, slots=True)
class Subject:
    """What a plan is about, as it was when the plan was made.

    Attributes:
        name: The VM's name.
        host: Its host's name.
        status: What the VM showed.
        up_since: When its run began (ISO 8601); None for one that did not run.
    """

    name: str
    host: str
    status: VmStatus
    up_since: str | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What an operation will do, in order: shown before it is confirmed and stored with it.

    Attributes:
        action: The action.
        policy: The policy in force; None for an action that asks no guest.
        steps: What will happen. Steps after the VM is down have no fixed time.
        consequences: What it brings about besides.
        changes: The changes of the configuration that it applies, or may.
        subject: What it will happen to.
    """

    action: Action
    policy: Policy | None
    steps: tuple[PlanStep, ...]
    consequences: tuple[Consequence, ...] = ()
    changes: tuple[Change, ...] = ()
    subject: Subject | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the plan in the form that is stored on the operation, equal to what comes back from there."""
        stored: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return stored

    @property
    def restarts_inside(self) -> bool:
        """True when the guest is asked to restart itself."""
        return any(step.kind is PlanKind.ASK_RESTART for step in self.steps)

    @property
    def possible(self) -> bool:
        """False when there is no way to carry it out."""
        return all(step.kind is not PlanKind.REFUSED for step in self.steps)


def power_down_ladder(policy: Policy, *, agent: bool, acpi: bool) -> tuple[PlanStep, ...]:
    """Return the steps of a graceful power-down.

    Args:
        policy: The policy in force.
        agent: The guest agent is connected.
        acpi: The domain has a power button.
    """
    if not agent and not acpi:
        return (PlanStep(PlanKind.POWER_OFF, 0) if policy.force else PlanStep(PlanKind.REFUSED, 0),)
    if policy.delay == 0:
        return (PlanStep(PlanKind.POWER_OFF, 0),)
    steps: list[PlanStep] = []
    if agent:
        steps.append(PlanStep(PlanKind.ASK_AGENT, 0))
    if acpi:
        steps.append(PlanStep(PlanKind.PRESS_BUTTON, policy.delay // 2 if agent else 0))
    steps.append(PlanStep(PlanKind.POWER_OFF if policy.force else PlanKind.GIVE_UP, policy.delay))
    return tuple(steps)


def plan(action: Action, policy: Policy | None, situation: Situation, subject: Subject | None = None) -> Plan:
    """Say what `action` will do to a VM in this situation.

    Args:
        policy: The policy in force; needed for shut down and reboot, ignored for the others.
        subject: What is kept with the plan of the VM.
    """
    if action not in GRACEFUL_ACTIONS:
        policy = None
    elif policy is None:
        raise ValueError(f"{action} needs a policy")
    consequences = tuple(_consequences(action, policy, situation))
    changes = situation.changes if action in COLD_START_ACTIONS else ()
    return Plan(action, policy, _steps(action, policy, situation), consequences, changes, subject)


def _steps(action: Action, policy: Policy | None, situation: Situation) -> tuple[PlanStep, ...]:
    seen = situation.seen
    if policy is not None:
        if action is Action.REBOOT and _restarts_inside(policy, situation):
            return _restart_ladder(policy)
        steps = power_down_ladder(policy, agent=seen.agent_connected, acpi=seen.acpi)
        if action is Action.REBOOT and steps[-1].kind is not PlanKind.REFUSED:
            steps += (PlanStep(PlanKind.START),)
        return steps
    match action:
        case Action.POWER_OFF:
            discards = seen.down and seen.managed_save
            return (PlanStep(PlanKind.DISCARD_MEMORY if discards else PlanKind.POWER_OFF, 0),)
        case Action.POWER_CYCLE:
            return (PlanStep(PlanKind.POWER_OFF, 0), PlanStep(PlanKind.START))
        case Action.SUSPEND:
            return (PlanStep(PlanKind.SAVE, 0),)
        case Action.REMOVE:
            return _removal(situation)
    if seen.state in (DomainState.PAUSED, DomainState.SLEEPING):
        return (PlanStep(PlanKind.RESUME, 0),)
    return (PlanStep(PlanKind.RESTORE if seen.managed_save else PlanKind.START, 0),)


def _removal(situation: Situation) -> tuple[PlanStep, ...]:
    if situation.gone:
        return (PlanStep(PlanKind.FORGET, 0),)
    undefine = PlanStep(PlanKind.UNDEFINE, 0)
    if situation.disks:
        return (undefine, PlanStep(PlanKind.REMOVE_DISKS))
    return (undefine, PlanStep(PlanKind.KEEP_DISKS)) if situation.has_disks else (undefine,)


def _restarts_inside(policy: Policy, situation: Situation) -> bool:
    wanted = situation.restart_inside and policy.delay > 0
    return wanted and situation.seen.agent_connected and not situation.needs_cold_start


def _restart_ladder(policy: Policy) -> tuple[PlanStep, ...]:
    asked = PlanStep(PlanKind.ASK_RESTART, 0)
    if policy.force:
        return (asked, PlanStep(PlanKind.POWER_OFF, policy.delay), PlanStep(PlanKind.START))
    return (asked, PlanStep(PlanKind.GIVE_UP, policy.delay))


def _consequences(action: Action, policy: Policy | None, situation: Situation) -> Iterator[Consequence]:
    seen = situation.seen
    ends_run = not seen.down and action not in (Action.SUSPEND, Action.RUN, Action.RESUME)
    if situation.changes and action in COLD_START_ACTIONS:
        surely = policy is None or policy.force
        yield Consequence.APPLIES_CHANGES if surely else Consequence.MAY_KEEP_CHANGES_WAITING
    if ends_run and seen.run_once:
        yield Consequence.ENDS_RUN_ONCE
    if ends_run and seen.stateless:
        yield Consequence.LOSES_DISK_WRITES
    if situation.options.overrides:
        yield Consequence.DIFFERS_ONCE
    if situation.options.stateless and action in RUNNING_ACTIONS:
        yield Consequence.RUNS_STATELESS
