"""Two of everything, started by mistake on one home and one database: still exactly once."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.acceptance.instance import Instance, Person, ended
from tests.support.fake import FakeDaemon
from tests.support.waiting import wait_until
from vms.domain.operation import Outcome
from vms.engine.records import Code
from vms.hypervisor.fake import STUBBORN, Agent, Temper
from vms.models import Event, Operation, VirtualMachine

pytestmark = pytest.mark.both_databases

EACH = 10
DELAY = 12
FORCED = "stubborn"
#: None goes down so soon that the second request for it comes when the first one has been done.
TEMPERS = {
    "obedient": Temper(slow=4),
    "acpi": Temper(slow=4, agent=Agent.NONE),
    "slow": Temper(slow=6),
    FORCED: STUBBORN,
}


@pytest.fixture(scope="module")
def doubled(portal: Instance) -> Iterator[Person]:
    """A second web, worker, watcher and beat beside the portal's own; somebody logged in to the second web."""
    with portal.doubled() as second:
        yield second


@pytest.mark.behaviour(22, 25, 26)
def test_with_two_of_every_process_each_vm_is_rebooted_exactly_once(
    portal: Instance, doubled: Person, fake_host: FakeDaemon
) -> None:
    uuids = {
        f"{kind}-{n}": fake_host.control.define(f"{kind}-{n}", TEMPERS[kind]) for kind in TEMPERS for n in range(EACH)
    }
    up = VirtualMachine.objects.filter(status="up")
    wait_until(lambda: up.count() == len(uuids), "all VMs are known", 30, 0.1)
    people = [portal.person(), doubled]
    machines = list(VirtualMachine.objects.order_by("name"))

    # Both webs are asked to reboot every VM, at the same time.
    with ThreadPoolExecutor(8) as pool:
        asked = [(person, vm) for vm in machines for person in people]
        answers = list(
            pool.map(lambda each: each[0].try_to("reboot", each[1], force="yes", graceful_delay=DELAY), asked)
        )
    assert sorted(answer.status for answer in answers) == [200] * len(machines) + [409] * len(machines)

    for operation in Operation.objects.all():
        check(ended(operation.pk, 90), fake_host)
    assert Operation.objects.count() == len(machines)
    wait_until(lambda: up.count() == len(machines), "all are up again", 30, 0.1)
    assert Event.objects.filter(code=Code.VM_DISCOVERED).count() == len(machines), "each was found once"


def check(operation: Operation, host: FakeDaemon) -> None:
    """By the host's own log it was started once, and destroyed once where that was needed; it is told of once."""
    vm, forced = operation.vm, operation.vm.name.startswith(FORCED)
    assert operation.succeeded, (vm, operation.failure, operation.failure_detail)
    assert (operation.outcome == Outcome.FORCED) is forced, vm
    log = host.control.log(str(vm.uuid), names=["start", "destroy"], call=True)
    assert [entry.name for entry in log] == (["destroy", "start"] if forced else ["start"]), vm
    assert host.control.inside(str(vm.uuid))["run"]["number"] == 2, vm
    told = Event.objects.filter(operation=operation)
    assert told.filter(code=Code.ACCEPTED).count() == 1, vm
    assert told.filter(code=Code.VM_REBOOTED).count() == 1, vm
