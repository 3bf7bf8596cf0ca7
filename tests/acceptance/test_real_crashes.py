"""Real guests while the worker or libvirtd dies, and how fast a guest that went down is started again."""

from __future__ import annotations

import statistics
import threading
from datetime import datetime

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


class StoppedTimes:
    """Hears, beside the portal, when a guest's process ended."""

    def __init__(self, uuid: str) -> None:
        self._uuid = uuid
        self._heard = threading.Condition()
        self._times: list[datetime] = []

    def hear(self, event: DomainEvent) -> None:
        """Take an event."""
        if event.uuid == self._uuid and event.kind is EventKind.STOPPED:
            with self._heard:
                self._times.append(event.at)
                self._heard.notify_all()

    def wait(self, count: int) -> list[datetime]:
        """Return the times once there are so many."""
        with self._heard:
            assert self._heard.wait_for(lambda: len(self._times) >= count, 30), "the guest did not go down"
            return list(self._times)


def test_a_guest_that_went_down_is_started_again_in_no_time(
    admin: Person, libvirtd: PrivateLibvirtd, demo_guests: dict[str, BootedGuest], record_property: object
) -> None:
    machine = vm("demo-obedient")
    stopped = StoppedTimes(str(machine.uuid))
    listener = LibvirtHypervisor(libvirtd.uri)
    watch = listener.watch(stopped.hear, lambda reason: None)
    gaps = []
    try:
        for number in range(1, REBOOTS + 1):
            wait_status(machine, "up")
            operation = ended(admin.act("reboot", machine, graceful_delay=60).pk, 90)
            assert operation.outcome == Outcome.CLEAN_AGENT
            down = stopped.wait(number)[-1]
            gaps.append((start_of(operation.pk).at - down).total_seconds() * 1000)
    finally:
        watch.close()
        listener.close()
    told = (
        f"from down to the start call: median {statistics.median(gaps):.0f} ms, worst {max(gaps):.0f} ms of {REBOOTS}"
    )
    record_property("down_to_start", told)  # type: ignore[operator]
    # The aim is a median under 50 ms on a quiet machine; the bound leaves room for a busy one.
    assert statistics.median(gaps) < 250, told


def start_of(pk: object) -> OperationStep:
    """Return an operation's only start; its time was taken just before the call."""
    return OperationStep.objects.get(operation_id=pk, kind="start")


@pytest.mark.behaviour(25)
@pytest.mark.parametrize("moment", ["prepare", "ask_agent", "went_down", "start"])
def test_the_worker_is_killed_during_the_reboot_of_a_real_guest(
    real_portal: Instance, admin: Person, demo_guests: dict[str, BootedGuest], moment: str
) -> None:
    machine = vm("demo-obedient")
    wait_status(machine, "up")
    run = run_number(demo_guests["demo-obedient"])
    operation = admin.act("reboot", machine, graceful_delay=60)
    wait_step(operation.pk, moment)
    real_portal.kill("worker")
    done = ended(operation.pk, 120)
    assert done.outcome == Outcome.CLEAN_AGENT
    assert list(done.steps.values_list("kind", flat=True)).count("destroy") == 0
    wait_status(machine, "up")
    assert run_number(demo_guests["demo-obedient"]) == run + 1, "it was started exactly once"


def run_number(guest: BootedGuest) -> int:
    """Return how many QEMU processes a guest has had since its libvirtd started: its log tells of each."""
    log = guest.libvirtd.directory / "cache/libvirt/qemu/log" / f"{guest.domain.name()}.log"
    return log.read_text().count(": starting up libvirt version")


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
    wait_status(machine, "reboot_in_progress")
    # Meanwhile another hand ends the run and starts a new one, and libvirtd hands out the same domain ids again.
    domain = guest.domain
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
    return next(
        pid
        for pid in guest.libvirtd.processes()
        if needle in open(f"/proc/{pid}/cmdline").read()  # noqa: SIM115, PTH123
    )
