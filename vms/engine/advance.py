"""Carries the operation of one VM as far as it will go now: observe, decide, write down, act, and look again.

No call here waits for a guest. Where the operation has to wait, it is left as a row with a time to wake it.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum
from functools import partial
from uuid import UUID

import structlog
from django.db import transaction
from django.utils import timezone
from structlog.contextvars import bound_contextvars

from vms.domain.decide import Call, Finish, Move, Note, Wait, decide, decide_gone, decide_unreachable
from vms.domain.decide.pace import LOOK_AGAIN
from vms.domain.observation import Observation, proof_of_return
from vms.domain.operation import Failure, Outcome, Stage, StepKind
from vms.engine import adding, bulk, configuring, guest_restart, journal, lease, screens, seats, sync
from vms.engine.screens import Picture
from vms.hypervisor import connections
from vms.hypervisor.base import Domain, DomainNotFound, HostUnreachable, Hypervisor, HypervisorError
from vms.models import Operation, OperationStep, VirtualMachine

log = structlog.get_logger(__name__)

#: An operation makes some ten moves at most before it waits; more means that a rule chases its own tail.
_MOVES_AT_ONCE = 40

#: A look is good enough for a power-off for so long, when there was only a picture taken since.
_STILL_FRESH = timedelta(seconds=1)


def advance(vm_id: UUID, since: datetime | None = None) -> bool:
    """Look at a VM and carry its operation on; without an operation, only write down what is seen.

    Args:
        since: When that was noticed which asks for a look; a look that began later serves as well.

    Returns:
        False when another worker has the VM in hand, which was asked to look again, or looked at it since; or when its
        host keeps everybody waiting.
    """
    if _put_off(vm_id):
        return False
    return lease.look_while_leased(vm_id, partial(_go_on, vm_id), since=since)


def _put_off(vm_id: UUID) -> bool:
    """Leave an operation for a moment whose host keeps all waiting who may ask it.

    It would find no seat; but finding that out takes a lease, and with hundreds of them due that adds up.
    """
    stuck = seats.stuck_hosts()
    return bool(stuck) and journal.put_off(vm_id, stuck, timezone.now() + LOOK_AGAIN)


@dataclass(slots=True)
class _Look:
    """One look at the VM: what was seen and when, or why nothing was.

    Attributes:
        at: When it began; what it shows is not older.
        until: When it had its answer; what it shows was so by then. A host may let a look wait until a run has ended.
        domain: What was seen, as it is to be written down.
        written: It is written down already.
        error: What the host said when it answered, but could not show the domain.
        away: Why the host could not be asked.
        busy: It was not asked, because others were; it may well answer in a moment.
    """

    at: datetime
    until: datetime
    seen: Observation | None = None
    domain: Domain | None = None
    written: bool = False
    gone: bool = False
    error: str = ""
    away: str = ""
    busy: bool = False


class _Then(Enum):
    """What follows a move."""

    REST = "rest"
    DECIDE = "decide"
    LOOK = "look"
    READ = "read"
    """Somebody changed the operation, or overtook it, since it was read."""


def _go_on(vm_id: UUID) -> lease.Rest | None:
    """Look at a VM and carry its operation on; returns what is left to be written when the VM is given back."""
    vm = VirtualMachine.objects.select_related("host").get(pk=vm_id)
    with bound_contextvars(vm=str(vm_id)):
        if vm.being_added and not adding.carry_on(vm):
            return None
        stored = not vm.change_waits or configuring.apply_waiting(vm)
        look, wait = _carry_on(vm, stored=stored)
        seen = look.seen
        if wait is None and seen is not None and (vm.armed or vm.apply_on_guest_reboot or seen.left_armed):
            _tend(vm, seen, look)
    if look.domain is None or look.written:
        return wait
    # The VM first, as everybody takes them.
    return lambda: sync.still_so(vm, look.at) and (wait is None or wait())


def _carry_on(vm: VirtualMachine, *, stored: bool) -> tuple[_Look, lease.Rest | None]:
    """Carry the active operation on, if there is one, until it has to wait or has ended.

    Args:
        stored: The host has stored every change of the configuration that was asked for.

    Returns:
        The last look, and what writes down until when the operation waits, if it does.
    """
    row = journal.active(vm)
    look: _Look | None = _look(vm)
    for _ in range(_MOVES_AT_ONCE):
        with bound_contextvars(**_names(row)):
            look = look or _look(vm)
            if row is None or (row.queued and not look.gone):
                _write_news(vm, look)
                return look, None
            then = _carry_out(row, _next(row, look, stored=stored), look)
        match then:
            case Wait(until):
                _write_news(vm, look)
                return look, partial(journal.wait, row, until, look.at)
            case _Then.REST:
                return look, None
            case _Then.LOOK:
                look = None
            case _Then.READ:
                # A look is never older than the answers it is judged with.
                row, look = journal.active(vm), None
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


def _tend(vm: VirtualMachine, seen: Observation, look: _Look) -> None:
    """See to what holds for a run beyond any operation."""
    if Operation.objects.filter(vm=vm).in_flight().exists():
        return
    if vm.armed or guest_restart.untended(vm):
        guest_restart.tend(vm, seen)
    elif seen.left_armed and (row := journal.owing(vm.pk)) is not None:
        # No intent outlives its operation: one whose host was away at its end still has to take it back.
        _call(row, Call(StepKind.RELENT, Stage.ENDED), look)


def _carry_out(row: Operation, move: Move, look: _Look) -> _Then | Wait:
    """Do what was decided. A wait is left to be written when the VM is given back."""
    match move:
        case Call():
            _write_news(row.vm, look)
            return _call(row, move, look)
        case Note():
            return _Then.DECIDE if _note(row, move, look) else _Then.READ
        case Wait():
            return move
        case Finish():
            return _Then.REST if _finish(row, move, look) else _Then.READ


def _note(row: Operation, move: Note, look: _Look) -> bool:
    with sync.locked(row.vm_id) as vm:
        if not journal.note(row, move, look.at, _describe(look.seen)):
            return False
        _settle(vm, row, look)
        return True


def _finish(row: Operation, move: Finish, look: _Look) -> bool:
    proof = None
    if look.seen is not None:
        since = next((step.at for step in reversed(row.journal) if step.kind == StepKind.STARTED), None)
        proof = proof_of_return(look.seen, since, timezone.now())
    # What was seen may not be so any more: other hands act, too.
    at = look.until if look.seen is not None or look.gone else timezone.now()
    with sync.locked(row.vm_id) as vm:
        if not journal.finish(row, move, at, look.error or look.away, proof, looked_at=look.at):
            return False
        if move.failure is Failure.HOST_UNREACHABLE:
            sync.settle(vm, None, reachable=False)
        else:
            _settle(vm, row, look)
        if row.bulk_id is not None:
            bulk.fill(row.bulk_id)
        return True


def _settle(locked: VirtualMachine, row: Operation, look: _Look) -> None:
    """Write down what is so of a VM now that its operation got further or has ended, and the look that led to that."""
    operation = row if row.active else None
    if look.domain is None:
        sync.settle(locked, operation)
        return
    sync.settle_as_seen(locked, operation, look.domain, look.at)
    sync.bring_up_to_date(row.vm, locked)
    look.written = True


def _write_news(vm: VirtualMachine, look: _Look) -> None:
    """Write down by itself what a look has found that is not stored yet.

    Of a look that has found nothing new only its time is left to be written, and that until the VM is given back; not
    at all where another look follows.
    """
    if look.domain is not None and not look.written and sync.is_news(vm, look.domain, look.at):
        sync.write(vm, look.domain, look.at)
        look.written = True


def _look(vm: VirtualMachine) -> _Look:
    at = timezone.now()
    try:
        with seats.taken(vm.host_id) as seat, seat.asking():
            domain = connections.get(vm.host.uri).observe(str(vm.uuid))
    except seats.NoSeat as error:
        return _Look(at, timezone.now(), away=str(error), busy=not error.stuck)
    except HostUnreachable as error:
        log.warning("host unreachable", host=vm.host.name, error=str(error))
        return _Look(at, timezone.now(), away=str(error))
    except DomainNotFound:
        until = timezone.now()
        sync.gone(vm.pk)
        return _Look(at, until, gone=True)
    except HypervisorError as error:
        log.warning("domain cannot be looked at", error=str(error))
        return _Look(at, timezone.now(), error=str(error))
    return _Look(at, timezone.now(), seen=domain.seen, domain=domain)


def _decide(row: Operation, look: _Look) -> Move:
    # The clock of the decision: a journal written since the look may hold later times than the look itself.
    now = timezone.now()
    if look.gone:
        return decide_gone(journal.as_decided(row), now)
    if look.seen is None:
        move = decide_unreachable(journal.as_decided(row), now, busy=look.busy)
        # The host is there; it is only this domain that cannot be looked at.
        return Finish(Outcome.FAILED, Failure.DEADLINE) if look.error and isinstance(move, Finish) else move
    settled_at = journal.settled_at(row, now)
    if settled_at is not None and now < settled_at:
        return Wait(settled_at)
    return decide(journal.as_decided(row), look.seen, now)


def _call(row: Operation, call: Call, look: _Look) -> _Then | Wait:
    """Make a call, if there is room at the host."""
    try:
        with seats.taken(row.vm.host_id) as seat:
            return _make_and_write(seat, row, call, look)
    except seats.NoSeat as error:
        # Nothing was written down: a step says that its call may have been made.
        move = decide_unreachable(journal.as_decided(row), timezone.now(), busy=not error.stuck)
        return _carry_out(row, move, replace(look, away=str(error)))


def _make_and_write(seat: seats.Seat, row: Operation, call: Call, look: _Look) -> _Then:
    """Write a call down, make it, and write its answer down."""
    step = _begin_call(row, call)
    if step is None:
        return _Then.READ
    log.info("asking the host", call=str(call.kind))
    try:
        with seat.asking():
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
                case None:
                    # Whoever has asked for another look until now is served by the one that follows.
                    lease.forget_requests(row.vm_id)
                case str():
                    journal.set_run_token(row, answer)
                case Picture():
                    journal.keep_screen(row, answer, step.at)
            journal.answer(step, ok=True)
        if isinstance(answer, Picture) and timezone.now() - look.at < _STILL_FRESH:
            # Taking it has changed nothing. The power-off that follows ends no other run than the one that was seen.
            return _Then.DECIDE
        if answer == row.run_token and look.seen is not None:
            # The answer says what a look would: which run this is. Of another run it says too little.
            look.seen = replace(look.seen, run_token=answer)
            return _Then.DECIDE
    return _Then.LOOK


def _begin_call(row: Operation, call: Call) -> OperationStep | None:
    """Write a call down. With the first call of an operation that has queued, the VM's status moves."""
    if not row.was_queued or row.journal:
        return journal.begin_call(row, call, timezone.now())
    with sync.locked(row.vm_id) as vm:
        step = journal.begin_call(row, call, timezone.now())
        if step is not None:
            sync.settle(vm, row)
        return step


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
