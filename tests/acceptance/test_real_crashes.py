"""Real guests while the worker or libvirtd dies, and how fast a guest that went down is started again."""

from __future__ import annotations

import statistics
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.acceptance.instance import Instance, Person, ended, vm, wait_status, wait_step
from tests.support.guests import BootedGuest
from tests.support.libvirtd import PrivateLibvirtd
from vms.domain.operation import Outcome
from vms.hypervisor.base import DomainEvent, EventKind
from vms.hypervisor.libvirt_driver import LibvirtHypervisor
from vms.models import OperationStep, VirtualMachine

pytestmark = pytest.mark.guest

REBOOTS = 10


@pytest.fixture(scope="module")
def admin(real_portal: Instance) -> Person:
    """The administrator, logged in."""
    return real_portal.person()


class HostEvents:
    """Hears, beside the portal, what becomes of the guests of a host."""

    def __init__(self) -> None:
        self._heard = threading.Condition()
        self._events: list[DomainEvent] = []

    def hear(self, event: DomainEvent) -> None:
        """Take an event."""
        with self._heard:
            self._events.append(event)
            self._heard.notify_all()

    def of(self, machine: VirtualMachine, kind: EventKind) -> list[DomainEvent]:
        """Return what was heard of one guest so far."""
        return [event for event in self._events if event.uuid == str(machine.uuid) and event.kind is kind]

    def wait(self, machine: VirtualMachine, kind: EventKind, count: int) -> list[DomainEvent]:
        """Return what was heard of one guest, once it is so much."""
        with self._heard:
            assert self._heard.wait_for(lambda: len(self.of(machine, kind)) >= count, 30), f"no {count}. {kind}"
            return self.of(machine, kind)


@pytest.fixture
def host_events(libvirtd: PrivateLibvirtd) -> Iterator[HostEvents]:
    """What happens on the host during the test, heard on a connection of the test's own."""
    events = HostEvents()
    listener = LibvirtHypervisor(libvirtd.uri)
    watch = listener.watch(events.hear, lambda reason: None)
    yield events
    watch.close()
    listener.close()


def test_a_guest_that_went_down_is_started_again_in_no_time(
    admin: Person, host_events: HostEvents, record_property: Callable[[str, object], None]
) -> None:
    machine = vm("demo-obedient")
    gaps = []
    for number in range(1, REBOOTS + 1):
        wait_status(machine, "up")
        operation = ended(admin.act("reboot", machine, graceful_delay=60).pk, 90)
        assert operation.outcome == Outcome.CLEAN_AGENT
        down = host_events.wait(machine, EventKind.STOPPED, number)[-1].at
        # The time of a call's step is taken just before the call.
        start = OperationStep.objects.get(operation=operation, kind="start").at
        gaps.append((start - down).total_seconds() * 1000)
    told = (
        f"from down to the start call: median {statistics.median(gaps):.0f} ms, worst {max(gaps):.0f} ms of {REBOOTS}"
    )
    record_property("figure", told)
    # The aim is a median under 50 ms on a quiet machine; the bound leaves room for a busy one.
    assert statistics.median(gaps) < 250, told


@pytest.mark.both_databases
@pytest.mark.behaviour(25)
@pytest.mark.parametrize("moment", ["prepare", "ask_agent", "went_down", "start"])
def test_the_worker_is_killed_during_the_reboot_of_a_real_guest(
    real_portal: Instance, admin: Person, host_events: HostEvents, moment: str
) -> None:
    machine = vm("demo-obedient")
    wait_status(machine, "up")
    operation = admin.act("reboot", machine, graceful_delay=60)
    wait_step(operation.pk, moment)
    real_portal.kill("worker")
    done = ended(operation.pk, 120)
    assert done.outcome == Outcome.CLEAN_AGENT
    assert "destroy" not in done.steps.values_list("kind", flat=True)
    wait_status(machine, "up")
    assert len(host_events.wait(machine, EventKind.STARTED, 1)) == 1, "it was started exactly once"


@pytest.mark.both_databases
@pytest.mark.behaviour(25)
def test_libvirtd_is_killed_twice_while_a_reboot_waits_and_the_new_run_is_never_destroyed(
    admin: Person, libvirtd: PrivateLibvirtd, demo_guests: dict[str, BootedGuest]
) -> None:
    machine: VirtualMachine = vm("demo-stubborn")
    guest = demo_guests["demo-stubborn"]
    wait_status(machine, "up")
    operation = admin.act("reboot", machine, force="yes", graceful_delay=30)
    wait_step(operation.pk, "ask_agent")
    libvirtd.restart()
    # Meanwhile another hand ends the run and starts a new one, and libvirtd hands out the same domain ids again.
    domain = guest.domain
    # Answered once libvirtd has found its guests again: to destroy one before ends it, but is said to have failed.
    domain.memoryStats()
    domain.destroy()
    domain.create()
    libvirtd.restart()
    new_run = guest.domain.ID(), qemu_pid(guest)

    done = ended(operation.pk, 120)
    assert done.outcome in (Outcome.OTHER_HAND, Outcome.CLEAN_AGENT)
    assert "destroy" not in done.steps.values_list("kind", flat=True)
    wait_status(machine, "up", 90)
    assert qemu_pid(guest) == new_run[1]


def qemu_pid(guest: BootedGuest) -> int:
    """Return the process id of a guest's QEMU."""
    needle = f"guest={guest.domain.name()},"
    return next(pid for pid in guest.libvirtd.processes() if needle in Path(f"/proc/{pid}/cmdline").read_text())
