"""What only the libvirt driver has to get right: a libvirtd that dies or hangs, and guests that do."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator

import libvirt
import pytest

from tests.hypervisor.rigs import QemuRig, running, up, wait_down
from tests.support.libvirtd import PrivateLibvirtd
from tests.support.waiting import wait_until
from vms.demo.guests import EmulatorType
from vms.demo.image import GuestImage
from vms.domain.observation import DomainState
from vms.hypervisor import connections
from vms.hypervisor.base import AgentUnavailable, DomainEvent, EventKind, HostUnreachable, Hypervisor
from vms.hypervisor.libvirt_driver import driver

pytestmark = pytest.mark.guest


@pytest.fixture
def rig(libvirtd: PrivateLibvirtd, guest_image: GuestImage, emulator_type: EmulatorType) -> Iterator[QemuRig]:
    made = QemuRig(libvirtd, guest_image, emulator_type)
    yield made
    # The connections of a test that killed the daemon are dead; its guests are not.
    if not made.hypervisor.alive:
        made.reconnect()
    made.close()


def test_a_run_keeps_its_mark_when_libvirtd_is_killed(rig: QemuRig, libvirtd: PrivateLibvirtd) -> None:
    domain = running(rig)
    rig.hypervisor.prepare(domain, "token", end_on_reset=True)
    libvirtd.restart()
    rig.reconnect()
    seen = rig.hypervisor.observe(domain).seen
    assert (seen.state, seen.run_token, seen.reset_ends_run) == (DomainState.RUNNING, "token", True)
    rig.hypervisor.destroy(domain, "token")
    rig.hypervisor.start(domain)
    seen = rig.hypervisor.observe(domain).seen
    assert (seen.run_token, seen.reset_ends_run) == (None, False)


def test_the_death_of_libvirtd_is_told_and_a_new_connection_hears_again(
    rig: QemuRig, libvirtd: PrivateLibvirtd
) -> None:
    reasons: list[str] = []
    events: list[DomainEvent] = []
    watched = connections.get(libvirtd.uri)
    watched.watch(events.append, reasons.append)
    libvirtd.kill()
    wait_until(lambda: reasons, "the loss is told")
    assert not watched.alive
    with pytest.raises(HostUnreachable):
        watched.domains()
    with pytest.raises(HostUnreachable):
        connections.get(libvirtd.uri)
    libvirtd.start()

    def reached() -> Hypervisor | None:
        try:
            return connections.get(libvirtd.uri)
        except HostUnreachable:
            return None

    wait_until(reached, "it is reached again").watch(events.append, reasons.append)
    rig.reconnect()
    domain = running(rig, "acpi")
    wait_until(lambda: any(e.uuid == domain and e.kind is EventKind.STARTED for e in events), "the start is heard")
    assert len(reasons) == 1


def test_a_libvirtd_that_hangs_is_given_up(
    rig: QemuRig, libvirtd: PrivateLibvirtd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver, "KEEPALIVE_INTERVAL", 1)
    hypervisor = connections.connect(libvirtd.uri)
    reasons: list[str] = []
    hypervisor.watch(lambda event: None, reasons.append)
    assert libvirtd.pid is not None
    os.kill(libvirtd.pid, signal.SIGSTOP)
    try:
        with pytest.raises(HostUnreachable):
            hypervisor.domains()
        wait_until(lambda: reasons, "the loss is told")
        before = time.monotonic()
        hypervisor.close()
        assert time.monotonic() - before < driver.CLOSE_LIMIT + 1
    finally:
        os.kill(libvirtd.pid, signal.SIGCONT)


def test_an_agent_that_hangs_costs_no_more_than_five_seconds(rig: QemuRig) -> None:
    domain = up(rig)
    rig.freeze(domain)
    for _ in range(2):
        before = time.monotonic()
        with pytest.raises(AgentUnavailable):
            rig.hypervisor.ask_agent(domain)
        assert time.monotonic() - before < 5.0
    rig.hypervisor.destroy(domain, None)


def test_a_hung_guest_holds_up_nobody_else(rig: QemuRig) -> None:
    hung, other = running(rig, "stubborn"), running(rig, "acpi")
    rig.freeze(hung)
    with pytest.raises(Exception, match="did not answer"):
        rig.hypervisor.press_button(hung)
    before = time.monotonic()
    listed = {domain.uuid: domain.seen for domain in rig.hypervisor.domains()}
    rig.hypervisor.prepare(other, "token", end_on_reset=True)
    rig.hypervisor.press_button(other)
    assert rig.hypervisor.observe(hung).seen.state is DomainState.RUNNING
    assert time.monotonic() - before < 3.0
    assert {hung, other} <= set(listed)
    rig.hypervisor.destroy(hung, None)


def test_the_end_of_a_run_is_told_once_it_can_be_seen_at_once(rig: QemuRig) -> None:
    """While the process ends every look waits; so nothing is told before it has."""
    domain = up(rig)
    events: list[DomainEvent] = []
    watch = rig.hypervisor.watch(events.append, lambda reason: None)
    rig.hypervisor.ask_agent(domain)
    wait_until(lambda: any(event.kind is EventKind.STOPPED for event in events), "the end is told", 30)
    before = time.monotonic()
    assert rig.hypervisor.observe(domain).seen.down
    assert time.monotonic() - before < 0.5
    assert {event.kind for event in events if event.uuid == domain} <= {EventKind.AGENT, EventKind.STOPPED}
    watch.close()


def test_a_pressed_button_is_heard(rig: QemuRig) -> None:
    domain = up(rig)
    rig.hypervisor.press_button(domain)
    wait_down(rig.hypervisor, domain)


def test_errors_are_not_printed(rig: QemuRig, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(libvirt.libvirtError):
        rig.libvirt.lookupByName("no such domain")
    assert "libvirt" not in capfd.readouterr().err
