"""The authority on the power-down policy, and on the plan that follows from it.

A policy is two settings: `force` (power the VM off when its guest does not comply?) and `delay` (whole seconds to wait
first). A VM may leave either unset; then the portal's default holds. A request may override either, once.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from vms.domain.errors import PolicyError
from vms.domain.observation import DomainState, Observation
from vms.domain.power import Action, VmStatus

MAX_DELAY = 3600
#: The power button is pressed again this often, in seconds: a booting guest loses the first presses.
PRESS_AGAIN_EVERY = 10


class Origin(StrEnum):
    """Where an effective setting comes from."""

    VM = "vm"
    DEFAULT = "default"
    REQUEST = "request"
    PENDING_CHANGES = "pending_changes"


@dataclass(frozen=True, slots=True)
class Setting:
    """A power-down policy as far as it is set: on a VM, or as a request's override.

    Attributes:
        force: Power off at the end of the delay; None when unset.
        delay: Seconds to wait for the guest, 0 to 3600; None when unset.
    """

    force: bool | None = None
    delay: int | None = None


@dataclass(frozen=True, slots=True)
class Policy:
    """The policy in force for one operation, each part with its origin. `delay` in seconds."""

    force: bool
    delay: int
    force_origin: Origin
    delay_origin: Origin


#: What the portal starts with; an Administrator can change it in the portal.
FACTORY_FORCE = False
FACTORY_DELAY = 60


def check_delay(value: object) -> None:
    """Refuse a delay outside 0 to 3600 seconds.

    Raises:
        PolicyError: `range`.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_DELAY:
        raise PolicyError("graceful_delay", "range")


def check_vm_setting(setting: Setting) -> None:
    """Refuse a VM's policy that could not be carried out.

    Raises:
        PolicyError: `range`, or `zero_needs_force`: no wait at all is only possible with the VM's own force.
    """
    if setting.delay is not None:
        check_delay(setting.delay)
        if setting.delay == 0 and setting.force is not True:
            raise PolicyError("graceful_delay", "zero_needs_force")


def effective(
    vm: Setting,
    default: Policy | Setting,
    override: Setting | None = None,
    *,
    must_apply_changes: bool = False,
) -> Policy:
    """Work out the policy of one operation.

    Args:
        vm: What the VM itself has set.
        default: The portal's default, both parts set.
        override: What the request sets for this once.
        must_apply_changes: The operation is a reboot and pending changes wait; it is forced then, unless the request
            says `force=False` in so many words.

    Raises:
        PolicyError: The result could not be carried out (a delay out of range, or no wait and no force).
    """
    override = override or Setting()
    if default.force is None or default.delay is None:
        raise ValueError("the portal's default policy must be complete")
    if override.force is not None:
        force, force_origin = override.force, Origin.REQUEST
    elif must_apply_changes:
        force, force_origin = True, Origin.PENDING_CHANGES
    elif vm.force is not None:
        force, force_origin = vm.force, Origin.VM
    else:
        force, force_origin = default.force, Origin.DEFAULT
    if override.delay is not None:
        check_delay(override.delay)
        delay, delay_origin = override.delay, Origin.REQUEST
    elif vm.delay is not None:
        delay, delay_origin = vm.delay, Origin.VM
    else:
        delay, delay_origin = default.delay, Origin.DEFAULT
    if delay == 0 and not force:
        raise PolicyError("force" if override.delay is None else "graceful_delay", "zero_needs_force")
    return Policy(force=force, delay=delay, force_origin=force_origin, delay_origin=delay_origin)


class PlanKind(StrEnum):
    """What one line of a plan announces."""

    ASK_AGENT = "ask_agent"
    PRESS_BUTTON = "press_button"
    POWER_OFF = "power_off"
    GIVE_UP = "give_up"
    DISCARD_MEMORY = "discard_memory"
    START = "start"
    RESTORE = "restore"
    RESUME = "resume"
    SAVE = "save"
    REFUSED = "refused"
    """Nothing could be done: no agent, no ACPI, and force is off."""


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
        subject: What it will happen to.
    """

    action: Action
    policy: Policy | None
    steps: tuple[PlanStep, ...]
    subject: Subject | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the plan in the form that is stored on the operation."""
        return asdict(self)

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


def plan(action: Action, policy: Policy | None, seen: Observation, subject: Subject | None = None) -> Plan:
    """Say what `action` will do to a VM that looks like `seen`.

    Args:
        policy: The policy in force; needed for shut down and reboot, ignored for the others.
        subject: What is kept with the plan of the VM.
    """
    steps: tuple[PlanStep, ...]
    match action:
        case Action.SHUT_DOWN | Action.REBOOT:
            if policy is None:
                raise ValueError(f"{action} needs a policy")
            steps = power_down_ladder(policy, agent=seen.agent_connected, acpi=seen.acpi)
            if action is Action.REBOOT and steps[-1].kind is not PlanKind.REFUSED:
                steps += (PlanStep(PlanKind.START),)
            return Plan(action, policy, steps, subject)
        case Action.POWER_OFF:
            discards = seen.down and seen.managed_save
            steps = (PlanStep(PlanKind.DISCARD_MEMORY if discards else PlanKind.POWER_OFF, 0),)
        case Action.POWER_CYCLE:
            steps = (PlanStep(PlanKind.POWER_OFF, 0), PlanStep(PlanKind.START))
        case Action.RUN | Action.RESUME:
            if seen.state in (DomainState.PAUSED, DomainState.SLEEPING):
                steps = (PlanStep(PlanKind.RESUME, 0),)
            else:
                steps = (PlanStep(PlanKind.RESTORE if seen.managed_save else PlanKind.START, 0),)
        case Action.SUSPEND:
            steps = (PlanStep(PlanKind.SAVE, 0),)
    return Plan(action, None, steps, subject)
