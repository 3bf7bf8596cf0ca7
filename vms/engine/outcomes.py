"""Events of operations: which code and sentence tells that one was accepted, steered, overtaken or has ended."""

from __future__ import annotations

from django.contrib.auth.models import AnonymousUser, User

from vms import labels
from vms.domain.observation import DomainState
from vms.domain.operation import Failure, Outcome, StepKind
from vms.domain.power import Action
from vms.engine.records import Code, in_english, record
from vms.models import Event, Operation

_ACCEPTED: dict[Action, Code] = {
    Action.RUN: Code.VM_STARTED_BY_USER,
    Action.RUN_ONCE: Code.VM_STARTED_BY_USER,
    Action.SHUT_DOWN: Code.VM_SHUTDOWN_INITIATED,
    Action.SUSPEND: Code.VM_SUSPENDING,
}
_SUCCEEDED: dict[Action, Code] = {
    Action.RUN: Code.VM_RUN_ON_HOST,
    Action.RUN_ONCE: Code.VM_RUN_ON_HOST,
    Action.SHUT_DOWN: Code.VM_DOWN,
    Action.POWER_OFF: Code.VM_POWERED_OFF,
    Action.REBOOT: Code.VM_REBOOTED,
    Action.POWER_CYCLE: Code.VM_RESET,
    Action.SUSPEND: Code.VM_SUSPENDED,
    Action.RESUME: Code.VM_RUN_ON_HOST,
    Action.REMOVE: Code.VM_REMOVED,
}
_FAILED: dict[Action, Code] = {
    Action.RUN: Code.VM_RUN_FAILED,
    Action.RUN_ONCE: Code.VM_RUN_FAILED,
    Action.SHUT_DOWN: Code.VM_SHUTDOWN_FAILED,
    Action.POWER_OFF: Code.VM_POWER_DOWN_FAILED,
    Action.REBOOT: Code.VM_REBOOT_FAILED,
    Action.POWER_CYCLE: Code.VM_RESET_FAILED,
    Action.SUSPEND: Code.VM_SUSPEND_FAILED,
    Action.RESUME: Code.VM_RUN_FAILED,
    Action.REMOVE: Code.VM_REMOVE_FAILED,
}
_GAVE_UP: dict[Action, Code] = {Action.SHUT_DOWN: Code.VM_POWER_DOWN_FAILED, Action.REBOOT: Code.COLD_REBOOT_GAVE_UP}
_STEERED: dict[StepKind, Code] = {
    StepKind.FORCE_NOW: Code.FORCE_NOW,
    StepKind.EXTEND: Code.EXTENDED,
    StepKind.CANCEL: Code.CANCEL_REQUESTED,
}


def _subject(row: Operation) -> str:
    return f"{labels.ACTION[Action(row.action)]} of {row.vm.name}"


@in_english
def record_accepted(row: Operation) -> None:
    """Say who asked for what, and why."""
    reason = f" Reason: {row.reason}" if row.reason else ""
    queues = " It queues until others of the same request have ended." if row.queued else ""
    record(
        _ACCEPTED.get(Action(row.action), Code.ACCEPTED),
        f"{_subject(row)} was asked for by {row.actor_name}.{queues}{reason}",
        vm=row.vm,
        operation=row,
        actor=row.actor,
    )


@in_english
def record_steered(row: Operation, kind: StepKind, actor: User | AnonymousUser, detail: str) -> None:
    """Say who changed a running operation, and how."""
    suffix = f" ({detail})" if detail else ""
    record(
        _STEERED[kind],
        f"{_subject(row)}: {actor.get_username()} chose {labels.STEP[kind]}{suffix}.",
        vm=row.vm,
        operation=row,
        actor=actor,
    )


@in_english
def record_dropped(row: Operation, actor: User | AnonymousUser) -> None:
    """Say that an operation was taken off its queue."""
    record(
        Code.CANCEL_REQUESTED,
        f"{_subject(row)} was cancelled by {actor.get_username()} while it queued. Nothing was asked of the guest.",
        severity=Event.Severity.WARNING,
        vm=row.vm,
        operation=row,
        actor=actor,
    )


@in_english
def record_superseded(row: Operation, by: Action, actor: User | AnonymousUser | None) -> None:
    """Say that a newer request overtook the operation; without an actor it was the portal's own."""
    by_whom = f"asked for by {actor.get_username()}" if actor is not None else "begun by the portal itself"
    record(
        Code.SUPERSEDED,
        f"{_subject(row)} was overtaken by {labels.ACTION[by]}, {by_whom}.",
        vm=row.vm,
        operation=row,
        actor=actor,
    )


@in_english
def record_down(row: Operation) -> None:
    """Say that a VM which is rebooted is down, and is to be started again."""
    if Action(row.action) is Action.REBOOT:
        how = labels.OUTCOME[Outcome(row.brought_down)]
        message = f"{row.vm.name} is down as a part of its reboot ({how}), and is to be started again."
        record(Code.COLD_REBOOT_DOWN, message, vm=row.vm, operation=row, actor=row.actor)


@in_english
def record_ended(row: Operation) -> None:
    """Say how an operation ended, and when it failed: why, and what a person can do."""
    action, outcome = Action(row.action), Outcome(row.outcome)
    match outcome:
        case Outcome.FAILED:
            said = f" The host said: {row.failure_detail}" if row.failure_detail else ""
            record(
                _failed(row),
                f"{_subject(row)} failed: {labels.FAILURE[Failure(row.failure)]}{said}",
                severity=Event.Severity.ERROR,
                vm=row.vm,
                operation=row,
                actor=row.actor,
            )
        case Outcome.GAVE_UP:
            record(
                _GAVE_UP[action],
                f"{_subject(row)} gave up: the guest did not shut down within {_waited(row)} s and its policy does not "
                f"allow to power it off. {_left_as(row)}",
                severity=Event.Severity.WARNING,
                vm=row.vm,
                operation=row,
                actor=row.actor,
            )
        case Outcome.CANCELLED:
            record(
                Code.CANCEL_REQUESTED,
                f"{_subject(row)} no longer waits for the guest. If it goes down all the same, it stays down.",
                severity=Event.Severity.WARNING,
                vm=row.vm,
                operation=row,
                actor=row.actor,
            )
        case _:
            forced = outcome is Outcome.FORCED and action in (Action.SHUT_DOWN, Action.REBOOT)
            record(
                _SUCCEEDED[action],
                f"{_subject(row)} is complete: {labels.OUTCOME[outcome]}.{_return(row)}",
                severity=Event.Severity.WARNING if forced else Event.Severity.NORMAL,
                vm=row.vm,
                operation=row,
                actor=row.actor,
            )


def _failed(row: Operation) -> Code:
    action = Action(row.action)
    # A reboot that fails once its VM went down is worse news than one that changed nothing.
    return Code.COLD_REBOOT_FAILED if action is Action.REBOOT and row.went_down_at else _FAILED[action]


def _return(row: Operation) -> str:
    """Say how the VM is known to be back, and when that was."""
    if row.known_by is None:
        return ""
    proof = labels.PROOF[row.known_by]
    if row.seconds_to_return is None:
        return f" {proof}."
    return f" {proof}, {row.seconds_to_return:.1f} s after its start."


def _left_as(row: Operation) -> str:
    """Say what a VM is that was given up on, by the last look at it."""
    row.vm.refresh_from_db(fields=["domain_state"])
    if row.vm.domain_state == DomainState.PAUSED:
        return "The VM is paused, or its guest has crashed: only Run or Power off help."
    return "The VM is still Up."


def _waited(row: Operation) -> int:
    if row.asked_at is None or row.deadline_at is None:
        return row.delay or 0
    return round((row.deadline_at - row.asked_at).total_seconds())
