"""Configuration on real guests: changes made with virsh, the reboot that applies them, restarts inside the guest."""

from __future__ import annotations

from collections.abc import Iterator

import libvirt
import libvirt_qemu
import pytest

from tests.acceptance.instance import Instance, Person, ended, vm, wait_status
from tests.support.guests import BootedGuest
from tests.support.waiting import wait_until
from vms.domain.configuration import MIB, Part
from vms.domain.operation import Outcome
from vms.hypervisor import definition
from vms.models import Operation, VirtualMachine

pytestmark = pytest.mark.guest

MORE = 160 * MIB


@pytest.fixture(scope="module")
def admin(real_portal: Instance) -> Person:
    """The administrator, logged in."""
    return real_portal.person()


@pytest.fixture
def tidy(demo_guests: dict[str, BootedGuest]) -> Iterator[None]:
    """Leave every guest with the memory it came with."""
    yield
    for name, guest in demo_guests.items():
        store_memory(guest, 128 * MIB)
        VirtualMachine.objects.filter(name=name).update(restart_inside=False, apply_on_guest_reboot=False)


def store_memory(guest: BootedGuest, size: int) -> None:
    """Do what `virsh edit` does."""
    connection = libvirt.open(guest.libvirtd.uri)
    try:
        stored = guest.domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)
        connection.defineXML(definition.configured(stored, {Part.MEMORY: size}, (), None))
    finally:
        connection.close()


def has_memory(guest: BootedGuest, size: int) -> bool:
    """Say whether the guest's process runs with this much memory, by libvirt's own word."""
    # Asked once: of a domain that is down, libvirt says what its next run will have.
    state, memory, *_ = guest.domain.info()
    return bool(state == libvirt.VIR_DOMAIN_RUNNING and memory == size // 1024)


def wait_pending(machine: VirtualMachine, *parts: Part) -> None:
    """Wait until the portal shows that these changes wait, and no other."""

    def shown() -> bool:
        machine.refresh_from_db()
        return [change.part for change in machine.pending] == list(parts)

    wait_until(shown, f"{machine.name} shows {parts} as pending", 20, 0.05)


@pytest.mark.behaviour(10, 11, 15)
def test_a_change_made_with_virsh_waits_and_forces_the_reboot_that_applies_it(
    admin: Person, demo_guests: dict[str, BootedGuest], tidy: None
) -> None:
    machine, guest = vm("demo-stubborn"), demo_guests["demo-stubborn"]
    wait_status(machine, "up")
    store_memory(guest, MORE)
    wait_pending(machine, Part.MEMORY)
    assert "power off" in admin.get(f"/vms/reboot/?vm={machine.pk}").body.lower()

    operation = ended(admin.act("reboot", machine, graceful_delay=5).pk, timeout=120)

    assert (operation.outcome, operation.force, operation.force_origin) == (Outcome.FORCED, True, "pending_changes")
    assert has_memory(guest, MORE)
    wait_pending(machine)


@pytest.mark.behaviour(11)
def test_what_is_taken_back_with_virsh_waits_no_more(demo_guests: dict[str, BootedGuest], tidy: None) -> None:
    machine, guest = vm("demo-acpi"), demo_guests["demo-acpi"]
    wait_status(machine, "up")
    store_memory(guest, MORE)
    wait_pending(machine, Part.MEMORY)
    store_memory(guest, 128 * MIB)
    wait_pending(machine)


def restart_inside(guest: BootedGuest) -> None:
    """Let the guest restart itself, as its own `reboot` command would."""
    libvirt_qemu.qemuAgentCommand(guest.domain, '{"execute": "guest-ping"}', 5, 0)
    guest.restart_by_agent()


@pytest.mark.behaviour(12, 17)
def test_a_restart_by_the_guest_does_not_apply_changes(
    admin: Person, demo_guests: dict[str, BootedGuest], tidy: None
) -> None:
    machine, guest = vm("demo-obedient"), demo_guests["demo-obedient"]
    wait_status(machine, "up")
    boots = guest.serial().count(" ready after ")
    store_memory(guest, MORE)
    wait_pending(machine, Part.MEMORY)
    restart_inside(guest)
    guest.wait_ready(boots + 1)
    wait_pending(machine, Part.MEMORY)
    assert has_memory(guest, 128 * MIB)
    assert not Operation.objects.filter(vm=machine).exists()


@pytest.mark.behaviour(12)
@pytest.mark.parametrize("away", [False, True], ids=["watched", "portal away"])
def test_a_restart_by_the_guest_becomes_a_cold_start_where_that_was_chosen(
    real_portal: Instance, demo_guests: dict[str, BootedGuest], tidy: None, away: bool
) -> None:
    machine, guest = vm("demo-obedient"), demo_guests["demo-obedient"]
    wait_status(machine, "up")
    guest.wait_ready(guest.serial().count(" ready after "))
    VirtualMachine.objects.filter(pk=machine.pk).update(apply_on_guest_reboot=True)
    other = 128 * MIB if has_memory(guest, MORE) else MORE
    store_memory(guest, other)
    wait_until(lambda: "<on_reboot>destroy" in guest.domain.XMLDesc(), "a restart would end the run", 20, 0.05)
    if away:
        real_portal.stop()
    restart_inside(guest)
    if away:
        guest.wait_down(60)
        real_portal.start()
    wait_until(lambda: has_memory(guest, other), "it was started with its changes", 60, 0.1)
    operation = ended(Operation.objects.filter(vm=machine).latest("created_at").pk)
    assert (operation.actor_name, operation.action, operation.outcome) == ("portal", "run", Outcome.DONE)
    wait_pending(machine)


@pytest.mark.behaviour(16)
def test_a_guest_is_restarted_inside_without_a_new_process(
    real_portal: Instance, demo_guests: dict[str, BootedGuest], tidy: None
) -> None:
    machine, guest = vm("demo-obedient"), demo_guests["demo-obedient"]
    wait_status(machine, "up")
    store_memory(guest, 128 * MIB)
    admin = real_portal.person()
    if not has_memory(guest, 128 * MIB):
        ended(admin.act("reboot", machine).pk)
        wait_pending(machine)
    VirtualMachine.objects.filter(pk=machine.pk).update(restart_inside=True)
    run, boots = guest.domain.ID(), guest.serial().count(" ready after ")
    assert "restart the guest" in admin.get(f"/vms/reboot/?vm={machine.pk}").body

    operation = ended(admin.act("reboot", machine, graceful_delay=60).pk, timeout=120)

    assert operation.outcome == Outcome.GUEST_REBOOTED
    assert guest.domain.ID() == run
    guest.wait_ready(boots + 1)
    assert [step.kind for step in operation.steps.all()][:2] == ["prepare", "ask_restart"]
