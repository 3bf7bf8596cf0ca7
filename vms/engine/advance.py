"""Carries the operation of one VM as far as it will go now: observe, decide, write down, act, and look again.

No call here waits for a guest. Where the operation has to wait, it is left as a row with a time to wake it.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum
from uuid import UUID

import structlog
from django.db import transaction
from django.utils import timezone

from vms.domain.decide import Call, Finish, Move, Note, Wait, decide, decide_gone, decide_unreachable
from vms.domain.observation import Observation
from vms.domain.operation import Failure, Outcome, Stage, StepKind
from vms.engine import journal, lease, sync
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
    look = _look(vm)
    row = journal.active(vm_id)
    if row is None:
        _take_back(vm_id, look)
    for _ in range(_MOVES_AT_ONCE):
        if row is None:
            return
        match _carry_out(row, _decide(row, look), look):
            case _Then.REST:
                return
            case _Then.LOOK:
                look = _look(vm)
            case _Then.READ:
                row = journal.active(vm_id)
    raise RuntimeError(f"the operation of VM {vm_id} does not come to rest")


def _take_back(vm_id: UUID, look: _Look) -> None:
    """Let no intent outlive its operation: one whose host was away at its end still has to take it back."""
    if look.seen is not None and look.seen.armed:
        row = journal.owing(vm_id)
        if row is not None:
            _call(row, Call(StepKind.RELENT, Stage.ENDED), look)


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
    with sync.locked(row.vm_id) as vm:
        if not journal.finish(row, move, look.at, look.error):
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
        log.warning("domain cannot be looked at", vm=str(vm.pk), error=str(error))
        return _Look(at, error=str(error))
    sync.apply(vm, domain, at)
    return _Look(at, seen=domain.seen)


def _decide(row: Operation, look: _Look) -> Move:
    if look.gone:
        return decide_gone()
    # The clock of the decision: a journal written since the look may hold later times than the look itself.
    now = timezone.now()
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
    try:
        token = _make(call.kind, row, connections.get(row.vm.host.uri))
    except HostUnreachable as error:
        # Whether it had its effect is not known, so it stays unanswered; the next look tells.
        log.warning("connection lost in a call", call=str(call.kind), vm=str(row.vm_id), error=str(error))
        connections.forget(row.vm.host.uri)
    except HypervisorError as error:
        log.warning("call failed", call=str(call.kind), vm=str(row.vm_id), error=str(error))
        journal.answer(step, ok=False, detail=str(error))
    else:
        with transaction.atomic():
            if token is not None:
                journal.set_run_token(row, token)
            journal.answer(step, ok=True)
        if token is not None and look.seen is not None:
            # The answer says what a look would: which run this is.
            look.seen = replace(look.seen, run_token=token)
            return _Then.DECIDE
    return _Then.LOOK


def _make(kind: StepKind, row: Operation, hypervisor: Hypervisor) -> str | None:
    """Make one call; returns the run's token when the call was to prepare it."""
    domain = str(row.vm.uuid)
    match kind:
        case StepKind.PREPARE:
            graceful = row.policy is not None
            return hypervisor.prepare(domain, uuid.uuid4().hex, end_on_reset=graceful)
        case StepKind.ASK_AGENT:
            hypervisor.ask_agent(domain)
        case StepKind.PRESS_BUTTON:
            hypervisor.press_button(domain)
        case StepKind.DESTROY:
            hypervisor.destroy(domain, row.run_token or None)
        case StepKind.START:
            hypervisor.start(domain)
        case StepKind.SAVE:
            hypervisor.save(domain)
        case StepKind.RESUME:
            hypervisor.resume(domain)
        case StepKind.DISCARD_MEMORY:
            hypervisor.discard_memory(domain)
        case StepKind.RELENT:
            hypervisor.relent(domain)
        case _:
            raise ValueError(f"{kind} is not a call")
    return None


def _describe(seen: Observation | None) -> str:
    return f"{seen.state}, {seen.down_reason}" if seen is not None and seen.down else ""
