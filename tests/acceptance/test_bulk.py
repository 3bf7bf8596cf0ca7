"""A bulk on the real processes: never more in flight than its cap, and every VM exactly once, whatever dies."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from tests.acceptance.instance import Instance, Person, ended, wait_status
from tests.support.fake import FakeDaemon, most_at_once
from tests.support.waiting import wait_until
from vms.domain.operation import Outcome, Stage
from vms.hypervisor.fake import STUBBORN, Temper
from vms.models import Bulk, Operation, OperationQuerySet, VirtualMachine

SIZE = 30
CAP = 5
PROCESSES = ("beat", "worker", "watcher", "web", "redis")


@pytest.fixture(scope="module")
def admin(portal: Instance) -> Person:
    """The administrator, logged in; a few at a time are worked on."""
    person = portal.person()
    person.set_defaults(graceful_delay=60, bulk_in_flight=CAP)
    return person


def define(host: FakeDaemon, prefix: str, count: int, temper: Temper) -> list[VirtualMachine]:
    """Define VMs, and return them once the portal has found them, in the order of the list."""
    host.control.define(f"{prefix}first", temper)
    host.control.define_many(count - 1, prefix, temper)
    found = VirtualMachine.objects.filter(name__startswith=prefix)
    wait_until(lambda: found.filter(status="up").count() == count, "they were found", 30, 0.1)
    return list(found.order_by("name", "id"))


def reboot_all(admin: Person, machines: Sequence[VirtualMachine], **fields: object) -> Bulk:
    """Have VMs rebooted by one request."""
    answer = admin.post("/vms/reboot/", vm=[machine.pk for machine in machines], **fields)
    assert answer.status == 200, answer.body[:1000]
    bulk = Bulk.objects.latest("created_at")
    assert answer.url.endswith(bulk.get_absolute_url()), answer.url
    return bulk


def of(bulk: Bulk) -> OperationQuerySet:
    """Return the operations of a bulk, in the order of the list."""
    return Operation.objects.filter(bulk=bulk).order_by("bulk_position")


def wait_ended(bulk: Bulk, count: int) -> None:
    """Wait until so many of a bulk's operations have ended."""
    wait_until(lambda: of(bulk).filter(stage=Stage.ENDED).count() >= count, f"{count} have ended", 120, 0.02)


def starts(host: FakeDaemon, machine: VirtualMachine) -> int:
    """Return how often a VM was started, by the host's own log."""
    return len(host.control.log(str(machine.uuid), names=["start"], call=True, effect=True))


@pytest.fixture
def _restarted(portal: Instance) -> Iterator[None]:
    """Whatever the test killed runs again at its end."""
    yield
    wait_until(lambda: all(portal.pid(name) for name in PROCESSES), "all run again", 30, 0.2)


@pytest.mark.behaviour(25, 33)
@pytest.mark.usefixtures("_restarted")
def test_everything_is_killed_in_the_middle_of_a_bulk_and_every_vm_is_rebooted_exactly_once(
    portal: Instance, admin: Person, fake_host: FakeDaemon
) -> None:
    machines = define(fake_host, "killed-", SIZE, Temper(slow=1.5))
    bulk = reboot_all(admin, machines)
    operations = of(bulk)
    assert operations.count() == SIZE
    for done in (SIZE // 5, SIZE // 2):
        wait_ended(bulk, done)
        assert operations.queued().exists()
        portal.kill_all(PROCESSES)
    wait_ended(bulk, SIZE)
    assert set(operations.values_list("outcome", flat=True)) == {Outcome.CLEAN_AGENT}
    assert [starts(fake_host, machine) for machine in machines] == [1] * SIZE
    assert most_at_once(fake_host.control, [str(machine.uuid) for machine in machines]) == CAP
    for machine in machines:
        wait_status(machine, "up", 10)


@pytest.mark.behaviour(33)
def test_the_portal_is_stopped_with_a_queue_and_goes_on_with_it_when_it_is_started(
    portal: Instance, admin: Person, fake_host: FakeDaemon
) -> None:
    machines = define(fake_host, "stopped-", 2 * CAP, STUBBORN)
    bulk = reboot_all(admin, machines, graceful_delay=600)
    operations = of(bulk)
    wait_until(lambda: operations.filter(stage=Stage.WAITING).count() == CAP, "the first were asked", 30)
    portal.stop()
    for operation in operations[:CAP]:
        fake_host.control.hand(str(operation.vm.uuid), "guest_halt")
    portal.start()
    wait_until(
        lambda: list(operations.values_list("stage", flat=True)) == ["ended"] * CAP + ["waiting"] * CAP,
        "the others were asked",
        60,
        0.1,
    )
    assert most_at_once(fake_host.control, [str(machine.uuid) for machine in machines]) == CAP
    assert [starts(fake_host, machine) for machine in machines[:CAP]] == [1] * CAP
    for operation in operations[CAP:]:
        fake_host.control.hand(str(operation.vm.uuid), "guest_halt")
        assert ended(operation.pk).succeeded


@pytest.mark.behaviour(33)
def test_the_rest_is_cancelled_and_nothing_is_asked_of_it(
    portal: Instance, admin: Person, fake_host: FakeDaemon
) -> None:
    machines = define(fake_host, "cancelled-", SIZE, STUBBORN)
    bulk = reboot_all(portal.person(), machines, graceful_delay=600)
    operations = of(bulk)
    wait_until(lambda: operations.filter(stage=Stage.WAITING).count() == CAP, "the first were asked", 30)
    begun = [operation.vm for operation in operations[:CAP]]
    page = portal.person().post(f"/bulks/{bulk.pk}/cancel/")
    assert f"{SIZE - CAP} virtual machines were taken off the queue" in page.body
    assert operations.filter(outcome=Outcome.CANCELLED).count() == SIZE - CAP
    for machine in begun:
        fake_host.control.hand(str(machine.uuid), "guest_halt")
    wait_ended(bulk, SIZE)
    assert [starts(fake_host, machine) for machine in begun] == [1] * CAP
    left_alone = [machine for machine in machines if machine not in begun]
    asked = [
        entry for machine in left_alone for entry in fake_host.control.log(str(machine.uuid), call=True, effect=True)
    ]
    assert asked == []
