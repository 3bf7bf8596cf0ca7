"""Carries the operation of one VM as far as it will go now: observe, decide, write down, act, and look again.

No call here waits for a guest. Where the operation has to wait, it is left as a row with a time to wake it.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum
from uuid import UUID

import structlog
from django.db import transaction
from django.utils import timezone
from structlog.contextvars import bound_contextvars

from vms.domain.decide import LOOK_AGAIN, Call, Finish, Move, Note, Wait, decide, decide_gone, decide_unreachable
from vms.domain.observation import Observation, proof_of_return
from vms.domain.operation import Failure, Outcome, StepKind
from vms.engine import configuring, guest_restart, journal, lease, screens, sync
from vms.engine.screens import Picture
from vms.hypervisor import connections
from vms.hypervisor.base import DomainNotFound, HostUnreachable, Hypervisor, HypervisorError
from vms.models import Operation, VirtualMachine

log = structlog.get_logger(__name__)

#: An operation makes some ten moves at most before it waits; more means that a rule chases its own tail.
_MOVES_AT_ONCE = 40


def advance(vm_id: UUID, since: datetime | None = None) -> bool:
    """Look at a VM and carry its operation on; without an operation, only write down what is seen.

    Args:
        since: When that was noticed which asks for a look; a look that began later serves as well.

    Returns:
        False when another worker has the VM in hand, which was asked to look again, or looked at it since.
    """
    return lease.look_while_leased(vm_id, lambda: _go_on(vm_id), since=since)


@dataclass(slots=True)
class _Look:
    """One look at the VM: what was seen and when, or why nothing was.

    Attributes:
        error: What the host said when it answered, but could not show the domain.
    """

    at: datetime
    seen: Observation | None = None
    gone: bool = False
    error: str = ""


class _Then(Enum):
    """What follows a move."""

    REST = "rest"
    DECIDE = "decide"
    LOOK = "look"
    READ = "read"
    """Somebody changed the operation, or overtook it, since it was read."""


def _go_on(vm_id: UUID) -> None:
    vm = VirtualMachine.objects.select_related("host").get(pk=vm_id)
    with bound_contextvars(vm=str(vm_id)):
        stored = not vm.change_waits or configuring.apply_waiting(vm)
        look = _carry_on(vm, stored=stored)
        if (vm.armed or vm.apply_on_guest_reboot) and look.seen is not None and journal.active(vm_id) is None:
            guest_restart.tend(vm, look.seen)


def _carry_on(vm: VirtualMachine, *, stored: bool) -> _Look:
    """Carry the active operation on, if there is one, until it has to wait or has ended.

    Args:
        stored: The host has stored every change of the configuration that was asked for.

    Returns:
        The last look.
    """
    row = journal.active(vm.pk)
    look: _Look | None = None
    for _ in range(_MOVES_AT_ONCE):
        with bound_contextvars(**_names(row)):
            look = look or _look(vm)
            if row is None:
                return look
            then = _carry_out(row, _next(row, look, stored=stored), look)
        match then:
            case _Then.REST:
                return look
            case _Then.LOOK:
                look = None
            case _Then.READ:
                row = journal.active(vm.pk)
    raise RuntimeError(f"the operation of VM {vm.pk} does not come to rest")


def _next(row: Operation, look: _Look, *, stored: bool) -> Move:
    move = _decide(row, look)
    if isinstance(move, Call) and move.kind is StepKind.START and not stored:
        # Never with the old configuration.
        return Wait(min(look.at + LOOK_AGAIN, row.hard_deadline_at))
    return move


def _names(row: Operation | None) -> dict[str, str]:
    """Return what every log line carries while an operation is carried on."""
    return {"operation": str(row.pk), "correlation_id": row.correlation_id} if row is not None else {}


def _carry_out(row: Operation, move: Move, look: _Look) -> _Then:
    match move:
        case Call():
            return _call(row, move, look)
        case Note():
            return _Then.DECIDE if _note(row, move, look) else _Then.READ
        case Wait():
            return _Then.REST if journal.wait(row, move.until, look.at) else _Then.READ
        case Finish():
            return _Then.REST if _finish(row, move, look) else _Then.READ


def _note(row: Operation, move: Note, look: _Look) -> bool:
    with sync.locked(row.vm_id) as vm:
        if not journal.note(row, move, look.at, _describe(look.seen)):
            return False
        sync.settle(vm, row)
        return True


def _finish(row: Operation, move: Finish, look: _Look) -> bool:
    proof = proof_of_return(look.seen, row.started_at, timezone.now()) if look.seen is not None else None
    with sync.locked(row.vm_id) as vm:
        if not journal.finish(row, move, look.at, look.error, proof):
            return False
        sync.settle(vm, None, reachable=move.failure is not Failure.HOST_UNREACHABLE)
        return True


def _look(vm: VirtualMachine) -> _Look:
    at = timezone.now()
    try:
        domain = connections.get(vm.host.uri).observe(str(vm.uuid))
    except HostUnreachable as error:
        log.warning("host unreachable", host=vm.host.name, error=str(error))
        return _Look(at)
    except DomainNotFound:
        sync.gone(vm.pk)
        return _Look(at, gone=True)
    except HypervisorError as error:
        log.warning("domain cannot be looked at", error=str(error))
        return _Look(at, error=str(error))
    sync.apply(vm, domain, at)
    return _Look(at, seen=domain.seen)


def _decide(row: Operation, look: _Look) -> Move:
    # The clock of the decision: a journal written since the look may hold later times than the look itself.
    now = timezone.now()
    if look.gone:
        return decide_gone(journal.as_decided(row), now)
    if look.seen is None:
        move = decide_unreachable(journal.as_decided(row), now)
        # The host is there; it is only this domain that cannot be looked at.
        return Finish(Outcome.FAILED, Failure.DEADLINE) if look.error and isinstance(move, Finish) else move
    settled_at = journal.settled_at(row, now)
    if settled_at is not None and now < settled_at:
        return Wait(settled_at)
    return decide(journal.as_decided(row), look.seen, now)


def _call(row: Operation, call: Call, look: _Look) -> _Then:
    """Write a call down, make it, and write its answer down."""
    step = journal.begin_call(row, call, timezone.now())
    if step is None:
        return _Then.READ
    log.info("asking the host", call=str(call.kind))
    try:
        answer = _answer_to(call, row, connections.get(row.vm.host.uri))
    except HostUnreachable as error:
        # Whether it had its effect is not known, so it stays unanswered; the next look tells.
        log.warning("connection lost in a call", call=str(call.kind), error=str(error))
        connections.forget(row.vm.host.uri)
    except HypervisorError as error:
        log.warning("call failed", call=str(call.kind), error=str(error))
        journal.answer(step, ok=False, detail=str(error))
    else:
        with transaction.atomic():
            match answer:
                case str():
                    journal.set_run_token(row, answer)
                case Picture():
                    journal.keep_screen(row, answer, step.at)
            journal.answer(step, ok=True)
        if isinstance(answer, str) and look.seen is not None:
            # The answer says what a look would: which run this is.
            look.seen = replace(look.seen, run_token=answer)
            return _Then.DECIDE
    return _Then.LOOK


def _answer_to(call: Call, row: Operation, hypervisor: Hypervisor) -> str | Picture | None:
    """Make one call; returns the picture when one was to be taken, else what `_make` does."""
    if call.kind is StepKind.SCREENSHOT:
        return screens.checked(hypervisor.screenshot(str(row.vm.uuid)))
    if call.kind is StepKind.REMOVE_DISK:
        hypervisor.remove_disk(str(row.vm.uuid), call.target)
        return None
    return _make(call.kind, row, hypervisor)


def _make(kind: StepKind, row: Operation, hypervisor: Hypervisor) -> str | None:
    """Make one call; returns the run's token when the call was to prepare it."""
    domain = str(row.vm.uuid)
    if kind is StepKind.PREPARE:
        goes_down = row.policy is not None and not row.inside
        return hypervisor.prepare(domain, uuid.uuid4().hex, end_on_reset=goes_down)
    _CALLS[kind](hypervisor, domain, row)
    return None


#: How each kind of call is made; PREPARE alone has an answer.
_CALLS: dict[StepKind, Callable[[Hypervisor, str, Operation], None]] = {
    StepKind.ASK_AGENT: lambda hypervisor, domain, row: hypervisor.ask_agent(domain),
    StepKind.ASK_RESTART: lambda hypervisor, domain, row: hypervisor.ask_agent(domain, reboot=True),
    StepKind.PRESS_BUTTON: lambda hypervisor, domain, row: hypervisor.press_button(domain),
    StepKind.DESTROY: lambda hypervisor, domain, row: hypervisor.destroy(domain, row.run_token or None),
    StepKind.START: lambda hypervisor, domain, row: hypervisor.start(domain, row.run_options),
    StepKind.SAVE: lambda hypervisor, domain, row: hypervisor.save(domain),
    StepKind.RESUME: lambda hypervisor, domain, row: hypervisor.resume(domain),
    StepKind.DISCARD_MEMORY: lambda hypervisor, domain, row: hypervisor.discard_memory(domain),
    StepKind.RELENT: lambda hypervisor, domain, row: hypervisor.relent(domain),
    StepKind.UNDEFINE: lambda hypervisor, domain, row: hypervisor.undefine(domain),
}


def _describe(seen: Observation | None) -> str:
    return f"{seen.state}, {seen.down_reason}" if seen is not None and seen.down else ""
