"""Asking for power actions: what one would do now, and accepting it."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace

from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from vms import labels, permissions, queues, tasks
from vms.actions.common import ATTEMPTS, Actor, ReasonRequired, Refused
from vms.actions.configuring import waiting_changes
from vms.actions.verdicts import reason_text, refusal_text, verdict_for
from vms.domain.configuration import Change
from vms.domain.disks import not_removable
from vms.domain.errors import PolicyError
from vms.domain.plan import Plan, Situation, Subject, plan
from vms.domain.policy import Policy, Setting, effective
from vms.domain.power import GRACEFUL_ACTIONS, RUNNING_ACTIONS, Action, VmStatus
from vms.domain.run_options import AS_STORED, RunOptions
from vms.domain.run_options import check as check_options
from vms.engine import bulk, journal, sync
from vms.models import ConfigurationChange, Operation, PortalDefaults, VirtualMachine


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


def run_once(
    actor: Actor, vm: VirtualMachine, options: RunOptions, *, reason: str = "", correlation_id: str = ""
) -> Operation:
    """Run a VM once with other than its stored configuration.

    Raises:
        ConfigurationError: An option that no run can have.
    """
    return request(actor, vm, Action.RUN_ONCE, options=options, reason=reason, correlation_id=correlation_id)


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


def remove(
    actor: Actor, vm: VirtualMachine, disks: Sequence[str] = (), *, reason: str = "", correlation_id: str = ""
) -> Operation:
    """Remove a VM that is down from its host, and these of its disks; one that is gone, from the portal's list.

    Args:
        disks: Sources of the disks that are to go, too; all others are kept.
    """
    return request(actor, vm, Action.REMOVE, disks=disks, reason=reason, correlation_id=correlation_id)


def request(
    actor: Actor,
    vm: VirtualMachine,
    action: Action,
    *,
    override: Setting | None = None,
    options: RunOptions = AS_STORED,
    disks: Sequence[str] = (),
    reason: str = "",
    correlation_id: str = "",
    place: journal.Place | None = None,
) -> Operation:
    """Accept one action on one VM: what every verb above does.

    Args:
        override: The policy, for this once.
        options: What a run once does differently.
        disks: Sources of the disks that a removal takes along.
        place: Where it stands in a bulk.

    Raises:
        PermissionDenied: The actor may not do this to this VM.
        Refused: The VM's status or a running operation does not allow it, or one of the disks cannot be removed.
        ReasonRequired: One of the VM's tags wants a reason, and there is none.
        PolicyError: The override cannot be carried out.
        ConfigurationError: An option that no run can have.
    """
    permissions.require(permissions.may(actor, action, vm))
    for _attempt in range(ATTEMPTS):
        try:
            return _accept(
                actor, vm, action, override or Setting(), options, tuple(disks), reason, correlation_id, place
            )
        except (IntegrityError, journal.LostRace):
            # Another request was let in first, or the engine wrote to the operation that was to end. Look anew.
            continue
    raise Refused(_("The VM is changing just now. Try again."), journal.active(vm))


def _accept(
    actor: Actor,
    vm: VirtualMachine,
    action: Action,
    override: Setting,
    options: RunOptions,
    disks: tuple[str, ...],
    reason: str,
    correlation_id: str,
    place: journal.Place | None,
) -> Operation:
    with sync.locked(vm.pk) as locked:
        active = journal.active(locked)
        verdict = verdict_for(action, locked, active)
        if not verdict.allowed:
            raise Refused(refusal_text(action, locked, verdict, active), active)
        if not reason.strip() and (wanting := locked.reason_tags):
            raise ReasonRequired(reason_text(locked, wanting))
        if action is Action.RUN_ONCE:
            check_options(options, has_cd_drive=locked.stored.cd_image is not None)
        situation = _situation(action, locked, options, waiting_changes(locked), disks)
        policy = _policy(action, locked, override, PortalDefaults.load().setting, situation)
        intended = plan(action, policy, situation, _subject(locked))
        if not intended.possible:
            raise Refused(str(labels.PLAN[intended.steps[-1].kind]) + ".")
        if active is not None:
            journal.supersede(active, action, actor)
        if situation.gone and place is not None:
            place = replace(place, queued=False)  # nothing has to be waited for
        operation = journal.accept(
            locked,
            journal.Request(
                action=action,
                actor=actor,
                override=override,
                policy=policy,
                plan=intended,
                options=situation.options,
                disks=situation.disks,
                reason=reason.strip(),
                correlation_id=correlation_id or str(uuid.uuid4()),
                place=place,
            ),
        )
        if active is not None:
            _follow(active, operation, locked)
        if situation.gone:
            journal.forget(operation)
            sync.forget(locked)
        if operation.queued or situation.gone:
            return operation
        # From the commit on, a look finds the operation; where many are accepted, the sweep may have come first.
        # What was asked for together does not hold up what somebody asks for by itself.
        queue = queues.NOW if place is None else queues.DUE
        transaction.on_commit(lambda: tasks.wake(locked.pk, queue, since=timezone.now()))
    return operation


def _follow(overtaken: Operation, operation: Operation, vm: VirtualMachine) -> None:
    """Tie an operation to the one it has overtaken, whose place in its bulk is free now."""
    journal.name_successor(overtaken, operation)
    if operation.queued:
        # Nothing acts on the VM until it is its turn.
        sync.settle(vm, None)
    if overtaken.bulk_id is not None:
        bulk.fill(overtaken.bulk_id)


def preview(
    vm: VirtualMachine,
    action: Action,
    override: Setting | None = None,
    options: RunOptions = AS_STORED,
    disks: Sequence[str] = (),
) -> Preview:
    """Say what an action would do now, without doing it.

    Raises:
        PolicyError: The override cannot be carried out.
    """
    return previews([vm], action, override, options, disks)[0]


def previews(
    vms: Sequence[VirtualMachine],
    action: Action,
    override: Setting | None = None,
    options: RunOptions = AS_STORED,
    disks: Sequence[str] = (),
) -> list[Preview]:
    """Say what an action would do now to each of several VMs, in as many queries as for one.

    Raises:
        PolicyError: The override cannot be carried out on one of them.
    """
    running = Operation.objects.filter(vm__in=vms).active().select_related("vm__host")
    active = {operation.vm_id: operation for operation in running}
    waiting = ConfigurationChange.objects.waiting_for(vms)
    default = PortalDefaults.load().setting
    return [
        _preview(
            vm,
            action,
            override or Setting(),
            options,
            vm.pending_with(waiting.get(vm.pk, ())),
            tuple(disks),
            active.get(vm.pk),
            default,
        )
        for vm in vms
    ]


def _preview(
    vm: VirtualMachine,
    action: Action,
    override: Setting,
    options: RunOptions,
    changes: tuple[Change, ...],
    disks: tuple[str, ...],
    active: Operation | None,
    default: Setting,
) -> Preview:
    verdict = verdict_for(action, vm, active)
    if not verdict.allowed:
        return Preview(vm, action, refusal_text(action, vm, verdict, active), None, active)
    try:
        situation = _situation(action, vm, options, changes, disks)
    except Refused as refused:
        return Preview(vm, action, str(refused), None, active)
    intended = plan(action, _policy(action, vm, override, default, situation), situation, _subject(vm))
    refusal = None if intended.possible else str(labels.PLAN[intended.steps[-1].kind]) + "."
    return Preview(vm, action, refusal, intended, active)


def _subject(vm: VirtualMachine) -> Subject:
    up_since = vm.running_since.isoformat() if vm.running_since else None
    return Subject(vm.name, vm.host.name, VmStatus(vm.status), up_since)


def _situation(
    action: Action, vm: VirtualMachine, options: RunOptions, changes: tuple[Change, ...], disks: tuple[str, ...]
) -> Situation:
    if action is Action.REMOVE:
        return _removal(vm, disks)
    if disks:
        raise ValueError(f"{action} removes no disks")
    if action is not Action.RUN_ONCE:
        # Saved memory belongs to the disks as they were, and to the configuration it was saved with.
        options = RunOptions(stateless=vm.stateless and action in RUNNING_ACTIONS and not vm.managed_save)
    elif vm.stateless:
        options = replace(options, stateless=True)
    return Situation(vm.seen, changes, vm.restart_inside, options)


def _removal(vm: VirtualMachine, disks: tuple[str, ...]) -> Situation:
    gone = vm.status == VmStatus.GONE
    # Of a VM that is gone, nobody knows any more what its disks are used for.
    if others := not_removable(() if gone else vm.disk_list, disks):
        names = {"disks": ", ".join(others), "vm": vm.name}
        raise Refused(_("%(disks)s cannot be removed together with %(vm)s. Nothing was removed.") % names)
    has_disks = any(disk.may_go for disk in vm.disk_list)
    return Situation(vm.seen, gone=gone, has_disks=has_disks, disks=disks)


def _policy(
    action: Action, vm: VirtualMachine, override: Setting, default: Setting, situation: Situation
) -> Policy | None:
    if action not in GRACEFUL_ACTIONS:
        if override != Setting():
            raise PolicyError("force", "asks_no_guest")
        return None
    must_apply_changes = action is Action.REBOOT and bool(situation.changes)
    return effective(vm.policy_setting, default, override, must_apply_changes=must_apply_changes)
