"""Turns a restart from inside a guest into a cold start, where its VM's policy says so and changes wait to be applied.

While they wait, a reset by the guest is made to end the run ("armed"), whether or not the portal is there then. A run
that ended so is followed by a start. The host does not tell a guest that restarted from one that shut itself down, so
both are followed by one; the option's description says so.
"""

from __future__ import annotations

import uuid

import structlog

from vms.domain.observation import DomainState, DownReason, Observation
from vms.domain.plan import Situation, plan
from vms.domain.policy import Setting
from vms.domain.power import Action
from vms.domain.run_options import RunOptions
from vms.engine import journal, seats
from vms.hypervisor import connections
from vms.hypervisor.base import HypervisorError
from vms.models import Operation, VirtualMachine

log = structlog.get_logger(__name__)

_WANT_IT_DOWN = frozenset({Action.SHUT_DOWN, Action.POWER_OFF})
_REASON = "The guest restarted itself while changes of its configuration waited; a cold start applies them."


def untended(vm: VirtualMachine) -> bool:
    """Say whether a VM is to be armed and is not, or the other way round."""
    return vm.armed is not _wanted(vm)


def _wanted(vm: VirtualMachine) -> bool:
    runs = vm.domain_state == DomainState.RUNNING
    # A run with a state of its own would lose it.
    plain = not (vm.run_once or vm.run_stateless)
    return vm.apply_on_guest_reboot and vm.pending_count > 0 and runs and plain


def tend(vm: VirtualMachine, seen: Observation) -> None:
    """Arm a VM, or take that back; the caller holds its lease, and no operation is in flight on it.

    Args:
        vm: As the look that showed `seen` left it.
    """
    wanted = _wanted(vm)
    if wanted is vm.armed and wanted is (wanted and seen.reset_ends_run):
        return
    try:
        with seats.taken(vm.host_id) as seat:
            if wanted:
                # Written down first: a guest may restart in the next moment.
                _remember(vm, armed=True)
                with seat.asking():
                    connections.get(vm.host.uri).prepare(str(vm.uuid), uuid.uuid4().hex, end_on_reset=True)
            else:
                with seat.asking():
                    connections.get(vm.host.uri).relent(str(vm.uuid))
                _remember(vm, armed=False)
    except HypervisorError as error:
        log.warning("a VM could not be armed, or disarmed", vm=str(vm.pk), armed=wanted, error=str(error))


def _remember(vm: VirtualMachine, *, armed: bool) -> None:
    VirtualMachine.objects.filter(pk=vm.pk).update(armed=armed)
    vm.armed = armed


def run_ended(vm: VirtualMachine, seen: Observation) -> Operation | None:
    """Accept a start of a VM whose armed run has ended by the guest's doing, in the caller's transaction.

    Args:
        vm: As it was before this look, locked; no operation is in flight on it. One that queues for it is overtaken,
            unless it wants the VM down.
    """
    if not vm.armed:
        return None
    VirtualMachine.objects.filter(pk=vm.pk).update(armed=False)
    if seen.down_reason is not DownReason.GUEST or seen.managed_save:
        return None
    queued = journal.active(vm)
    if queued is not None and queued.action in _WANT_IT_DOWN:
        return None
    if queued is not None:
        journal.supersede(queued, Action.RUN, None)
    options = RunOptions(stateless=vm.stateless)
    started = journal.accept(
        vm,
        journal.Request(
            action=Action.RUN,
            actor=None,
            override=Setting(),
            policy=None,
            plan=plan(Action.RUN, None, Situation(seen, options=options)),
            reason=_REASON,
            correlation_id=str(uuid.uuid4()),
            options=options,
        ),
    )
    if queued is not None:
        journal.name_successor(queued, started)
    return started
