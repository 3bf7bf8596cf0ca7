"""The authority on what a person can have done to a VM: one function a verb, used by pages, admin, API and bulk alike.

Each one is a single transaction: permission, conflict, operation, status, event; a worker is woken on commit.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from django.contrib.auth.models import AnonymousUser, User
from django.db import IntegrityError, transaction
from django.utils import timezone

from vms import labels, permissions, tasks
from vms.domain.errors import PolicyError
from vms.domain.observation import DomainState
from vms.domain.operation import Stage, in_flight
from vms.domain.policy import MAX_DELAY, Plan, Policy, Setting, check_vm_setting, effective, plan
from vms.domain.power import GRACEFUL_ACTIONS, Action, Refusal, Verdict, VmStatus, resolve
from vms.engine import journal
from vms.engine.records import Code, record
from vms.models import Operation, PortalDefaults, VirtualMachine

Actor = User | AnonymousUser

#: How often to try again when somebody else wrote meanwhile: the engine does so a few times a minute at most.
_ATTEMPTS = 5


class Refused(Exception):
    """An action cannot be accepted now. The text is a sentence for people.

    Attributes:
        operation: The operation that is in the way, if one is.
    """

    def __init__(self, message: str, operation: Operation | None = None) -> None:
        super().__init__(message)
        self.operation = operation


@dataclass(frozen=True, slots=True)
class Preview:
    """What an action would do to a VM now: what the confirmation shows, the API's dry run answers, and is stored.

    Attributes:
        refusal: Why it would be refused; None when it would be accepted.
        plan: What would happen; None when no plan can be made.
        in_the_way: The operation that is running on the VM: in the way, or ended by this action.
    """

    vm: VirtualMachine
    action: Action
    refusal: str | None
    plan: Plan | None
    in_the_way: Operation | None


def run(actor: Actor, vm: VirtualMachine, *, reason: str = "", correlation_id: str = "") -> Operation:
    """Start a VM; one that is suspended gets its memory back, one that is paused runs on."""
    return request(actor, vm, Action.RUN, reason=reason, correlation_id=correlation_id)


def resume(actor: Actor, vm: VirtualMachine, *, reason: str = "", correlation_id: str = "") -> Operation:
    """Let a paused or suspended VM run on."""
    return request(actor, vm, Action.RESUME, reason=reason, correlation_id=correlation_id)


def suspend(actor: Actor, vm: VirtualMachine, *, reason: str = "", correlation_id: str = "") -> Operation:
    """Save a VM's memory to its host and stop it."""
    return request(actor, vm, Action.SUSPEND, reason=reason, correlation_id=correlation_id)


def shut_down(
    actor: Actor,
    vm: VirtualMachine,
    *,
    force: bool | None = None,
    reboot: bool = False,
    delay: int | None = None,
    reason: str = "",
    correlation_id: str = "",
) -> Operation:
    """Ask the guest to shut down, and do at the end of the graceful delay what the policy says.

    Args:
        force: Override the policy for this once; None leaves it.
        reboot: Run the VM again afterwards.
        delay: Graceful delay for this once, in seconds; None leaves the policy's.
    """
    action = Action.REBOOT if reboot else Action.SHUT_DOWN
    return request(actor, vm, action, override=Setting(force, delay), reason=reason, correlation_id=correlation_id)


def reboot(
    actor: Actor,
    vm: VirtualMachine,
    *,
    force: bool | None = None,
    delay: int | None = None,
    reason: str = "",
    correlation_id: str = "",
) -> Operation:
    """Shut down, then run: the macro, subject to the power-down policy."""
    return shut_down(actor, vm, force=force, reboot=True, delay=delay, reason=reason, correlation_id=correlation_id)


def power_off(actor: Actor, vm: VirtualMachine, *, reason: str = "", correlation_id: str = "") -> Operation:
    """End a VM's process at once. Overtakes whatever operation is running on it."""
    return request(actor, vm, Action.POWER_OFF, reason=reason, correlation_id=correlation_id)


def power_cycle(actor: Actor, vm: VirtualMachine, *, reason: str = "", correlation_id: str = "") -> Operation:
    """The forced reboot: power off, then run. Overtakes whatever operation is running on the VM."""
    return request(actor, vm, Action.POWER_CYCLE, reason=reason, correlation_id=correlation_id)


def request(
    actor: Actor,
    vm: VirtualMachine,
    action: Action,
    *,
    override: Setting | None = None,
    reason: str = "",
    correlation_id: str = "",
) -> Operation:
    """Accept one action on one VM: what every verb above does.

    Raises:
        PermissionDenied: The actor may not do this to this VM.
        Refused: The VM's status or a running operation does not allow it.
        PolicyError: The override cannot be carried out.
    """
    permissions.require(permissions.may(actor, action, vm))
    for _ in range(_ATTEMPTS):
        try:
            return _accept(actor, vm, action, override or Setting(), reason, correlation_id)
        except (IntegrityError, journal.LostRace):
            # Another request was let in first, or the engine wrote to the operation that was to end. Look anew.
            continue
    raise Refused("The VM is changing just now. Try again.", journal.active(vm.pk))


def _accept(
    actor: Actor, vm: VirtualMachine, action: Action, override: Setting, reason: str, correlation_id: str
) -> Operation:
    with transaction.atomic():
        locked = VirtualMachine.objects.select_for_update(of=("self",)).select_related("host").get(pk=vm.pk)
        active = journal.active(locked.pk)
        verdict = verdict_for(action, locked, active)
        if not verdict.allowed:
            raise Refused(refusal_text(action, locked, verdict, active), active)
        policy = _policy(action, locked, override, PortalDefaults.load().setting)
        intended = plan(action, policy, locked.seen)
        if not intended.possible:
            raise Refused(str(labels.PLAN[intended.steps[-1].kind]) + ".")
        if active is not None:
            journal.supersede(active, action, actor)
        operation = journal.accept(
            locked,
            journal.Request(
                action=action,
                actor=actor,
                override=override,
                policy=policy,
                plan=intended,
                reason=reason.strip(),
                correlation_id=correlation_id or str(uuid.uuid4()),
            ),
        )
        if active is not None:
            Operation.objects.filter(pk=active.pk).update(superseded_by=operation)
        # From the commit on, a look finds the operation; where many are accepted, the sweep may have come first.
        transaction.on_commit(lambda: tasks.wake(locked.pk, since=timezone.now()))
    return operation


def preview(vm: VirtualMachine, action: Action, override: Setting | None = None) -> Preview:
    """Say what an action would do now, without doing it.

    Raises:
        PolicyError: The override cannot be carried out.
    """
    return previews([vm], action, override)[0]


def previews(vms: Sequence[VirtualMachine], action: Action, override: Setting | None = None) -> list[Preview]:
    """Say what an action would do now to each of several VMs, in as many queries as for one.

    Raises:
        PolicyError: The override cannot be carried out on one of them.
    """
    running = Operation.objects.filter(vm__in=vms).exclude(stage=Stage.ENDED).select_related("vm__host")
    active = {operation.vm_id: operation for operation in running}
    default = PortalDefaults.load().setting
    return [_preview(vm, action, override or Setting(), active.get(vm.pk), default) for vm in vms]


def _preview(
    vm: VirtualMachine, action: Action, override: Setting, active: Operation | None, default: Setting
) -> Preview:
    verdict = verdict_for(action, vm, active)
    if not verdict.allowed:
        return Preview(vm, action, refusal_text(action, vm, verdict, active), None, active)
    intended = plan(action, _policy(action, vm, override, default), vm.seen)
    refusal = None if intended.possible else str(labels.PLAN[intended.steps[-1].kind]) + "."
    return Preview(vm, action, refusal, intended, active)


def force_now(actor: Actor, operation: Operation) -> None:
    """End the graceful delay of a running operation now, with force.

    Raises:
        PermissionDenied: The actor may not do what this amounts to.
        Refused: The operation no longer waits for its guest.
    """
    permissions.require(permissions.may_force(actor, operation))
    _steer(operation, lambda row: journal.force_now(row, actor))


def extend(actor: Actor, operation: Operation, seconds: int) -> None:
    """Give the guest more time, up to the longest delay there is.

    Raises:
        PermissionDenied: The actor may not do what the operation does.
        Refused: The operation no longer waits for its guest, or would wait longer than is allowed.
    """
    permissions.require(permissions.may_steer(actor, operation))

    def change(row: Operation) -> bool:
        if not 1 <= seconds <= MAX_DELAY or _total_delay(row) + seconds > MAX_DELAY:
            raise Refused(f"A guest can be given at most {MAX_DELAY} seconds in all.", row)
        return journal.extend(row, seconds, actor)

    _steer(operation, change)


def cancel(actor: Actor, operation: Operation) -> None:
    """Stop waiting for the guest. One that was asked already may still go down, and then stays down.

    Raises:
        PermissionDenied: The actor may not do what the operation does.
        Refused: The operation no longer waits for its guest.
    """
    permissions.require(permissions.may_steer(actor, operation))
    _steer(operation, lambda row: journal.cancel(row, actor))


def set_policy(actor: Actor, vm: VirtualMachine, setting: Setting) -> None:
    """Set a VM's own power-down policy; unset parts follow the portal's default.

    Raises:
        PermissionDenied: The actor may not edit this VM.
        PolicyError: It could not be carried out.
    """
    permissions.require(permissions.may_change(actor, vm))
    check_vm_setting(setting)
    with transaction.atomic():
        locked = VirtualMachine.objects.select_for_update(of=("self",)).select_related("host").get(pk=vm.pk)
        if locked.policy_setting == setting:
            return
        VirtualMachine.objects.filter(pk=vm.pk).update(force_power_off=setting.force, graceful_delay=setting.delay)
        was, now = (_setting_text(each) for each in (locked.policy_setting, setting))
        record(Code.VM_UPDATED, f"Power-down policy of {vm.name} changed from {was} to {now}.", vm=locked, actor=actor)
    vm.force_power_off, vm.graceful_delay = setting.force, setting.delay


def set_defaults(actor: Actor, *, force: bool, delay: int) -> None:
    """Set the policy of every VM that has not set its own.

    Args:
        delay: Seconds, 1 to 3600.

    Raises:
        PermissionDenied: The actor may not change the portal's defaults.
        PolicyError: The delay is out of range.
    """
    permissions.require(permissions.may_change_defaults(actor))
    if isinstance(delay, bool) or not 1 <= delay <= MAX_DELAY:
        raise PolicyError("graceful_delay", "default_range")
    with transaction.atomic():
        was = PortalDefaults.load().setting
        now = Setting(force, delay)
        if was == now:
            return
        PortalDefaults.objects.update_or_create(id=1, defaults={"force": force, "graceful_delay": delay})
        message = f"Portal default of the power-down policy changed from {_setting_text(was)} to {_setting_text(now)}."
        record(Code.DEFAULTS_CHANGED, message, actor=actor)


def refusal_text(action: Action, vm: VirtualMachine, verdict: Verdict, active: Operation | None) -> str:
    """Say in words why an action is refused."""
    if verdict.refusal is Refusal.IN_FLIGHT and active is not None:
        return _in_flight_text(action, vm, active)
    status = labels.STATUS[VmStatus(vm.status)]
    return f"Cannot {str(labels.ACTION[action]).lower()} {vm.name} because it is {status}."


def _in_flight_text(action: Action, vm: VirtualMachine, active: Operation) -> str:
    running = str(labels.ACTION[Action(active.action)]).lower()
    return (
        f"Cannot {str(labels.ACTION[action]).lower()} {vm.name}: a {running} asked for by {active.actor_name} is "
        "running on it."
    )


def verdict_for(action: Action, vm: VirtualMachine, active: Operation | None) -> Verdict:
    """Say whether an action would be accepted on a VM that `active` is running on."""
    running = in_flight(Action(active.action), Stage(active.stage)) if active is not None else None
    asleep = vm.domain_state == DomainState.SLEEPING
    return resolve(action, VmStatus(vm.status), running, asleep=asleep)


def _policy(action: Action, vm: VirtualMachine, override: Setting, default: Setting) -> Policy | None:
    if action not in GRACEFUL_ACTIONS:
        if override != Setting():
            raise PolicyError("force", "asks_no_guest")
        return None
    return effective(vm.policy_setting, default, override)


def _total_delay(operation: Operation) -> float:
    if operation.deadline_at is None or operation.asked_at is None:
        return operation.delay or 0
    return (operation.deadline_at - operation.asked_at).total_seconds()


def _setting_text(setting: Setting) -> str:
    force = {True: "power off", False: "give up", None: "portal default"}[setting.force]
    delay = "portal default" if setting.delay is None else f"{setting.delay} s"
    return f"“{force}, delay {delay}”"


def _steer(operation: Operation, change: Callable[[Operation], bool]) -> None:
    """Change a running operation; read it again when the engine wrote to it meanwhile."""
    for _ in range(_ATTEMPTS):
        row = journal.read(operation.pk)
        if not row.patient:
            raise Refused("The operation no longer waits for its guest.", row)
        if change(row):
            transaction.on_commit(partial(tasks.wake, row.vm_id))
            operation.refresh_from_db()
            return
    raise Refused("The operation is changing just now. Try again.", operation)
