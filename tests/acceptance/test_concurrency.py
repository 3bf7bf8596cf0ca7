"""Requests that meet: exactly one is accepted, and a power-off always wins."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.acceptance.instance import Instance, Person, ended, operation, vm, wait_status
from tests.support.fake import FakeDaemon
from vms.domain.operation import Outcome
from vms.hypervisor.fake import OBEDIENT, STUBBORN
from vms.models import Operation

pytestmark = pytest.mark.both_databases

AT_ONCE = 50


@pytest.fixture(scope="module")
def admin(portal: Instance) -> Person:
    """The administrator, logged in."""
    return portal.person()


@pytest.mark.behaviour(22)
def test_of_fifty_simultaneous_reboots_one_is_accepted_and_the_others_point_to_it(
    portal: Instance, admin: Person, fake_host: FakeDaemon
) -> None:
    fake_host.control.define("contended", STUBBORN)
    machine = vm("contended")
    with ThreadPoolExecutor(AT_ONCE) as pool:
        answers = list(
            pool.map(lambda _: admin.try_to("reboot", machine, force="yes", graceful_delay=5), range(AT_ONCE))
        )
    accepted = Operation.objects.get(vm=machine)
    statuses = sorted(answer.status for answer in answers)
    assert statuses == [200] + [409] * (AT_ONCE - 1)
    assert all(accepted.get_absolute_url() in answer.body for answer in answers if answer.status == 409)
    assert ended(accepted.pk).outcome == Outcome.FORCED


@pytest.mark.behaviour(23)
def test_a_power_off_that_meets_the_start_call_of_a_reboot_leaves_the_vm_down(
    portal: Instance, admin: Person, fake_host: FakeDaemon
) -> None:
    uuid = fake_host.control.define("overtaken", OBEDIENT)
    machine = vm("overtaken")
    fake_host.control.hold(uuid, "start", when="before")
    rebooting = admin.act("reboot", machine)
    fake_host.control.wait_held(uuid, "start")

    power_off = admin.act("power_off", machine)
    assert operation(rebooting.pk).outcome == Outcome.SUPERSEDED
    fake_host.control.release(uuid, "start")

    assert ended(power_off.pk).outcome == Outcome.FORCED
    wait_status(machine, "down")
    assert fake_host.control.inside(uuid)["run"] is None
    log = fake_host.control.log(uuid, names=["start", "destroy"], call=True, effect=True)
    assert [entry.name for entry in log] == ["start", "destroy"]
