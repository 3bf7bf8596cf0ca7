"""What other hands do to real guests with the real `virsh`, while the portal acts on them."""

from __future__ import annotations

import subprocess

import libvirt
import pytest

from tests.acceptance.instance import Instance, Person, ended, vm, wait_status, wait_step
from tests.support.guests import BootedGuest
from vms.domain.operation import Failure, Outcome
from vms.models import Operation, VirtualMachine

pytestmark = [pytest.mark.guest, pytest.mark.behaviour(18), pytest.mark.behaviour(19), pytest.mark.behaviour(20)]


@pytest.fixture(scope="module")
def admin(real_portal: Instance) -> Person:
    """The administrator, logged in."""
    return real_portal.person()


def virsh(guest: BootedGuest, verb: str, *options: str) -> None:
    """Do what somebody at the host's command line does."""
    command = ["virsh", "--quiet", "--connect", guest.libvirtd.uri, verb, str(guest.uuid), *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def asked(admin: Person, action: str, machine: VirtualMachine, *, force: str = "no", delay: int = 600) -> Operation:
    """Ask for something, and wait until the guest was asked."""
    wait_status(machine, "up", 120)
    operation = admin.act(action, machine, force=force, graceful_delay=delay)
    wait_step(operation.pk, "ask_agent", answered_at__isnull=False)
    return operation


def calls(operation: Operation, kind: str) -> int:
    """Return how often something was asked of the host."""
    return operation.steps.filter(kind=kind).count()


@pytest.fixture
def stubborn(demo_guests: dict[str, BootedGuest]) -> BootedGuest:
    """A guest that does nothing by itself."""
    return demo_guests["demo-stubborn"]


def boots_of(guest: BootedGuest) -> int:
    """Return how often a guest has come up so far."""
    return guest.serial().count(" ready after ")


@pytest.mark.parametrize("action", ["reboot", "shut_down"])
def test_a_guest_destroyed_during_the_wait_is_down_and_a_reboot_goes_on(
    admin: Person, stubborn: BootedGuest, action: str
) -> None:
    machine, boots = vm("demo-stubborn"), boots_of(stubborn)
    operation = asked(admin, action, machine)
    virsh(stubborn, "destroy")
    done = ended(operation.pk, 120)
    assert (done.outcome, calls(done, "destroy")) == (Outcome.OTHER_HAND, 0)
    assert calls(done, "start") == (action == "reboot")
    if action == "shut_down":
        wait_status(machine, "down")
        ended(admin.act("run", machine).pk, 120)
    stubborn.wait_ready(boots + 1)
    assert boots_of(stubborn) == boots + 1


def test_a_guest_shut_down_with_virsh_during_a_reboot_is_started_again(
    admin: Person, demo_guests: dict[str, BootedGuest]
) -> None:
    """It takes 20 seconds after it was first asked, so the second request makes no difference but to be there."""
    machine, guest = vm("demo-slow"), demo_guests["demo-slow"]
    boots = boots_of(guest)
    operation = asked(admin, "reboot", machine)
    virsh(guest, "shutdown", "--mode", "acpi")
    done = ended(operation.pk, 120)
    assert done.succeeded
    assert (calls(done, "destroy"), calls(done, "start")) == (0, 1)
    guest.wait_ready(boots + 1)


def test_a_run_that_was_started_with_virsh_during_a_forced_reboot_is_not_powered_off(
    real_portal: Instance, admin: Person, stubborn: BootedGuest
) -> None:
    machine, boots = vm("demo-stubborn"), boots_of(stubborn)
    operation = asked(admin, "reboot", machine, force="yes", delay=10)
    with real_portal.standing_still("worker"):
        virsh(stubborn, "destroy")
        virsh(stubborn, "start")
        new_run = stubborn.domain.ID()
    done = ended(operation.pk, 120)
    assert (done.outcome, calls(done, "destroy"), calls(done, "start")) == (Outcome.OTHER_HAND, 0, 0)
    assert stubborn.domain.ID() == new_run
    stubborn.wait_ready(boots + 1)


def test_a_guest_paused_during_the_wait_is_given_up_on_and_shows_it(admin: Person, stubborn: BootedGuest) -> None:
    machine = vm("demo-stubborn")
    operation = asked(admin, "reboot", machine, delay=10)
    virsh(stubborn, "suspend")
    assert ended(operation.pk, 120).outcome == Outcome.GAVE_UP
    wait_status(machine, "paused")
    virsh(stubborn, "resume")
    wait_status(machine, "up")


def test_a_guest_whose_memory_was_saved_during_the_wait_is_not_brought_back_by_the_reboot(
    admin: Person, stubborn: BootedGuest
) -> None:
    machine, boots = vm("demo-stubborn"), boots_of(stubborn)
    operation = asked(admin, "reboot", machine)
    virsh(stubborn, "managedsave")
    done = ended(operation.pk, 120)
    assert (done.outcome, done.failure, calls(done, "start")) == (Outcome.FAILED, Failure.SAVED_ELSEWHERE, 0)
    wait_status(machine, "suspended")
    ended(admin.act("power_off", machine).pk)
    wait_status(machine, "down")
    ended(admin.act("run", machine).pk, 120)
    stubborn.wait_ready(boots + 1)


def test_a_guest_undefined_during_a_forced_reboot_is_left_running(admin: Person, stubborn: BootedGuest) -> None:
    machine = vm("demo-stubborn")
    stored = stubborn.domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)
    operation = asked(admin, "reboot", machine, force="yes", delay=15)
    run = stubborn.domain.ID()
    virsh(stubborn, "undefine")
    try:
        done = ended(operation.pk, 120)
        assert (done.outcome, done.failure, calls(done, "destroy")) == (Outcome.FAILED, Failure.GONE, 0)
        assert stubborn.domain.ID() == run
        assert "<on_reboot>restart" in stubborn.domain.XMLDesc()
    finally:
        connection = libvirt.open(stubborn.libvirtd.uri)
        connection.defineXML(stored)
        connection.close()
    wait_status(machine, "up")


def test_a_guest_undefined_and_destroyed_during_the_wait_is_gone(
    admin: Person, demo_guests: dict[str, BootedGuest]
) -> None:
    machine, guest = vm("demo-acpi"), demo_guests["demo-acpi"]
    wait_status(machine, "up", 120)
    stored = guest.domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)
    stubborn_xml = stored.replace("portal.acpi=obey", "portal.acpi=ignore")
    connection = libvirt.open(guest.libvirtd.uri)
    try:
        connection.defineXML(stubborn_xml)
        ended(admin.act("power_cycle", machine).pk, 120)
        operation = admin.act("shut_down", machine, force="no", graceful_delay=600)
        wait_step(operation.pk, "press_button")
        virsh(guest, "undefine")
        virsh(guest, "destroy")
        done = ended(operation.pk, 120)
        assert (done.outcome, done.failure) == (Outcome.FAILED, Failure.GONE)
        wait_status(machine, "gone")
    finally:
        connection.defineXML(stored)
        connection.close()
    wait_status(machine, "down")


def test_a_guest_destroyed_while_it_comes_up_is_not_started_a_second_time(
    admin: Person, demo_guests: dict[str, BootedGuest]
) -> None:
    machine, guest = vm("demo-obedient"), demo_guests["demo-obedient"]
    operation = asked(admin, "reboot", machine)
    wait_step(operation.pk, "started", timeout=60)
    virsh(guest, "destroy")
    done = ended(operation.pk, 120)
    assert (done.outcome, done.failure, calls(done, "start")) == (Outcome.FAILED, Failure.WENT_DOWN_AGAIN, 1)
    wait_status(machine, "down")
    virsh(guest, "start")
    wait_status(machine, "up", 120)


def test_a_vm_started_with_virsh_before_the_portal_came_to_it_is_a_success(
    real_portal: Instance, admin: Person, demo_guests: dict[str, BootedGuest]
) -> None:
    machine, guest = vm("demo-obedient"), demo_guests["demo-obedient"]
    wait_status(machine, "up", 120)
    ended(admin.act("power_off", machine).pk)
    wait_status(machine, "down")
    with real_portal.standing_still("worker"):
        operation = admin.act("run", machine)
        virsh(guest, "start")
    done = ended(operation.pk, 120)
    assert (done.outcome, calls(done, "start")) == (Outcome.OTHER_HAND, 0)
    wait_status(machine, "up", 120)
