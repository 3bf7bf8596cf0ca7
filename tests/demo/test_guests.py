"""Each demo guest, really booted, does what it says when it is asked to go down."""

import time
from concurrent.futures import ThreadPoolExecutor

import libvirt
import libvirt_qemu
import pytest
from lxml import etree

from tests.support.guests import BootedGuest, BootGuest
from tests.support.pictures import colours
from vms.demo.guests import DemoGuest, Temper
from vms.demo.provision import agent_connected

pytestmark = pytest.mark.guest

AGENT = libvirt.VIR_DOMAIN_SHUTDOWN_GUEST_AGENT
BUTTON = libvirt.VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN
OBEYS_WITHIN = 15.0  # seconds


def ask(guest: BootedGuest, way: int) -> None:
    """Ask it to shut down. libvirt's agent call returns when the guest is down, or fails after 60 s: not waited for."""
    if way == BUTTON:
        guest.domain.shutdownFlags(BUTTON)
        return
    conn = libvirt.open(guest.libvirtd.uri)
    executor = ThreadPoolExecutor(max_workers=1)

    def call() -> None:
        try:
            conn.lookupByUUIDString(str(guest.uuid)).shutdownFlags(AGENT)
        except libvirt.libvirtError:
            pass  # what the guest made of it is what the test looks at
        finally:
            conn.close()

    executor.submit(call)
    executor.shutdown(wait=False)


@pytest.mark.parametrize("way", [AGENT, BUTTON], ids=["agent", "button"])
def test_obedient_goes_down_at_once(boot_guest: BootGuest, way: int) -> None:
    guest = boot_guest("obedient")
    ask(guest, way)
    guest.wait_down(OBEYS_WITHIN)
    assert "asked to halt: obeyed" in guest.serial()


def test_acpi_has_no_agent_and_obeys_the_button(boot_guest: BootGuest) -> None:
    guest = boot_guest("acpi")
    assert not etree.fromstring(guest.domain.XMLDesc()).xpath("devices/channel")
    with pytest.raises(libvirt.libvirtError) as refused:
        guest.domain.shutdownFlags(AGENT)
    assert refused.value.get_error_code() == libvirt.VIR_ERR_ARGUMENT_UNSUPPORTED
    ask(guest, BUTTON)
    guest.wait_down(OBEYS_WITHIN)
    assert "power button asked to halt: obeyed" in guest.serial()


@pytest.mark.parametrize("way", [AGENT, BUTTON], ids=["agent", "button"])
def test_slow_goes_down_20_seconds_after_the_first_request(boot_guest: BootGuest, way: int) -> None:
    guest = boot_guest("slow")
    ask(guest, way)
    guest.wait_said("asked to halt: obeyed, in 20 s")
    asked = time.monotonic()
    guest.domain.shutdownFlags(BUTTON)
    guest.wait_said("asked to halt: already going down")
    guest.wait_said("going down now", 40.0)
    # Its clock is an emulated one: on a busy machine its 20 s take longer, but never less.
    assert time.monotonic() - asked > 18.0
    guest.wait_down(OBEYS_WITHIN)


def test_stubborn_ignores_agent_and_button(boot_guest: BootGuest) -> None:
    guest = boot_guest("stubborn")
    ask(guest, AGENT)
    guest.wait_said("guest agent asked to halt: ignored")
    for presses in (1, 2):  # one after the other: presses in quick succession are one to a guest
        guest.domain.shutdownFlags(BUTTON)
        guest.wait_said("power button asked to halt: ignored", times=presses)
    assert agent_connected(guest.domain)
    assert "going down" not in guest.serial()
    assert guest.is_running()
    guest.domain.destroy()
    guest.wait_down(OBEYS_WITHIN)


def test_tempers_can_be_combined(boot_guest: BootGuest) -> None:
    guest = boot_guest(DemoGuest("odd", "Restarts when told to halt.", Temper(agent="ignore", halt="reboot")))
    ask(guest, BUTTON)
    guest.wait_said("power button asked to halt: disobeyed: reboot")
    guest.wait_ready(runs=2)
    assert guest.is_running()


def test_an_agent_that_drops_is_gone_after_the_first_request(boot_guest: BootGuest) -> None:
    guest = boot_guest(DemoGuest("drop", "Loses its agent.", Temper(agent="drop")))
    ask(guest, AGENT)
    guest.wait_said("guest agent asked to halt: ignored")
    guest.wait(lambda: not agent_connected(guest.domain), "its agent is gone", OBEYS_WITHIN)
    assert guest.is_running()
    guest.domain.shutdownFlags(BUTTON)
    guest.wait_down(OBEYS_WITHIN)


def test_an_agent_may_answer_late(boot_guest: BootGuest) -> None:
    guest = boot_guest(DemoGuest("late", "Its agent is slow.", Temper(answers=4)))
    guest.wait(lambda: not _agent_answers(guest, within=2), "its agent stands still", OBEYS_WITHIN)
    guest.wait_said("the guest agent answers after 4 s")
    guest.wait(lambda: _agent_answers(guest, within=10), "it answers", 30.0)


@pytest.mark.parametrize("on_crash", ["destroy", "preserve"])
def test_a_guest_that_panics_is_down_or_preserved(boot_guest: BootGuest, on_crash: str) -> None:
    guest = boot_guest(DemoGuest("panics", "Panics when told to halt.", Temper(halt="panic")), on_crash=on_crash)
    ask(guest, BUTTON)
    guest.wait_said("power button asked to halt: disobeyed: panic")
    state, reason = (
        (libvirt.VIR_DOMAIN_SHUTOFF, libvirt.VIR_DOMAIN_SHUTOFF_CRASHED)
        if on_crash == "destroy"
        else (libvirt.VIR_DOMAIN_CRASHED, libvirt.VIR_DOMAIN_CRASHED_PANICKED)
    )
    guest.wait(lambda: guest.domain.state() == [state, reason], "it has crashed", OBEYS_WITHIN)


def test_a_guest_may_hang_as_it_boots(boot_guest: BootGuest) -> None:
    guest = boot_guest(DemoGuest("hangs", "Never comes up.", Temper(boot="hang")), wait=False)
    guest.wait_said("hangs as it boots", 90)
    guest.domain.shutdownFlags(BUTTON)
    assert not agent_connected(guest.domain)
    assert guest.is_running()


def test_a_guest_may_panic_as_it_boots(boot_guest: BootGuest) -> None:
    guest = boot_guest(DemoGuest("dies", "Never comes up.", Temper(boot="panic")), wait=False)
    guest.wait_down(90)
    assert "panics as it boots" in guest.serial()
    assert guest.domain.state() == [libvirt.VIR_DOMAIN_SHUTOFF, libvirt.VIR_DOMAIN_SHUTOFF_CRASHED]


def test_the_first_presses_may_be_lost(boot_guest: BootGuest) -> None:
    guest = boot_guest(DemoGuest("deaf", "Hard of hearing.", Temper(agent="off", deaf=3), agent_channel=False))
    for presses in (1, 2, 3):
        guest.domain.shutdownFlags(BUTTON)
        guest.wait_said("power button asked to halt: ignored", times=presses)
    guest.domain.shutdownFlags(BUTTON)
    guest.wait_said("power button asked to halt: obeyed")
    guest.wait_down(OBEYS_WITHIN)


def test_the_agent_can_ask_for_a_reboot(boot_guest: BootGuest) -> None:
    guest = boot_guest("obedient")
    guest.restart_by_agent()
    guest.wait_ready(runs=2)
    assert "guest agent asked to reboot: obeyed" in guest.serial()
    assert guest.is_running()


def test_the_screen_shows_text_and_what_was_asked(boot_guest: BootGuest) -> None:
    guest = boot_guest("stubborn")

    def inked() -> int:
        """Pixels of text and lines, 0 before the guest has made the screen its own blue."""
        seen = colours(_screenshot(guest))
        (red, green, blue), ground = seen.most_common(1)[0]
        return seen.total() - ground if blue > 128 and red == green == 0 and len(seen) > 3 else 0

    guest.wait(lambda: inked() > 4_000, "its screen shows text", 20.0)
    before = inked()
    guest.domain.shutdownFlags(BUTTON)
    guest.wait_said("power button asked to halt: ignored")
    guest.wait(lambda: inked() > before + 300, "its screen shows the request", 10.0)


def test_guests_outlive_their_libvirtd_and_are_found_again(boot_guest: BootGuest) -> None:
    guest = boot_guest("obedient")
    processes = guest.libvirtd.processes()
    daemon = guest.libvirtd.pid
    guest.libvirtd.kill()
    assert set(guest.libvirtd.processes()) == set(processes) - {daemon}
    guest.libvirtd.start()
    assert guest.is_running()
    # The new daemon shows the agent's last known state before it has the channel open again: only an answer tells.
    guest.wait(lambda: _agent_answers(guest), "its agent answers the new daemon", 30.0)
    assert guest.serial().count(" ready after ") == 1
    ask(guest, AGENT)
    guest.wait_down(OBEYS_WITHIN)


def _agent_answers(guest: BootedGuest, within: int = 5) -> bool:
    try:
        return bool(libvirt_qemu.qemuAgentCommand(guest.domain, '{"execute": "guest-ping"}', within, 0))
    except libvirt.libvirtError:
        return False


def _screenshot(guest: BootedGuest) -> bytes:
    """The guest's screen as a PNG file."""
    domain = guest.domain
    stream = domain.connect().newStream()
    assert domain.screenshot(stream, 0) == "image/png"
    data = b""
    while chunk := stream.recv(1 << 18):
        data += chunk
    stream.finish()
    return data
