"""Real guests that do something else than they were told, under the portal's own processes."""

from __future__ import annotations

from dataclasses import dataclass

import libvirt
import pytest

from tests.acceptance.instance import Instance, Person, ended, messages, vm, wait_status
from tests.support.guests import BootedGuest, boot_all
from tests.support.libvirtd import PrivateLibvirtd
from tests.support.waiting import wait_until
from vms.demo.guests import DemoGuest, EmulatorType, Temper
from vms.demo.image import GuestImage
from vms.domain.observation import Proof
from vms.domain.operation import Failure, Outcome
from vms.engine.records import Code
from vms.models import Event, Operation, VirtualMachine

pytestmark = pytest.mark.guest


@dataclass(frozen=True)
class Story:
    """One guest, and what comes of asking it to go down.

    Attributes:
        outcome: How it goes down in time; None for a guest that does not.
        delay: Seconds that it is given.
        step: What the record has to show besides.
    """

    temper: Temper
    outcome: Outcome | None
    delay: int = 30
    step: str = ""


STORIES = {
    "resets": Story(Temper(halt="reboot"), Outcome.CLEAN_AGENT, step="reset_instead"),
    "halts": Story(Temper(reboot="halt"), Outcome.CLEAN_AGENT),
    "drops": Story(Temper(agent="drop"), Outcome.CLEAN_ACPI, step="ask_agent"),
    "late": Story(Temper(answers=8), Outcome.CLEAN_ACPI, step="ask_agent"),
    "deaf": Story(Temper(agent="off", deaf=3), Outcome.CLEAN_ACPI, delay=50),
    "panics": Story(Temper(halt="panic"), Outcome.DONE),
    "preserved": Story(Temper(halt="panic"), None, delay=8),
}


@pytest.fixture(scope="module")
def demo_guests(
    libvirtd: PrivateLibvirtd, guest_image: GuestImage, emulator_type: EmulatorType
) -> dict[str, BootedGuest]:
    """The guests of the stories, by the names of their domains, in place of the demo's own."""
    guests = [DemoGuest(name, "", story.temper, agent_channel=name != "deaf") for name, story in STORIES.items()]
    return boot_all(libvirtd, guest_image, emulator_type, guests, preserved=["preserved"])


@pytest.fixture(scope="module")
def admin(real_portal: Instance) -> Person:
    """The administrator, logged in."""
    return real_portal.person()


def boots_of(guest: BootedGuest) -> int:
    """Return how often a guest has come up so far."""
    return guest.serial().count(" ready after ")


def run_again(admin: Person, machine: VirtualMachine, guest: BootedGuest) -> None:
    """Run a VM that is down, or power cycle one that has crashed, until its guest listens."""
    machine.refresh_from_db()
    boots = boots_of(guest)
    done = ended(admin.act("run" if machine.status == "down" else "power_cycle", machine).pk, 120)
    assert done.succeeded
    guest.wait_ready(boots + 1)


@pytest.mark.behaviour(1, 2, 5, 16, 20)
# Force makes a difference to one of these guests alone, and for both actions on simulated ones of every temper.
@pytest.mark.parametrize(
    ("action", "force"), [("shut_down", False), ("reboot", True)], ids=["shut down, give up", "reboot, force"]
)
def test_whatever_the_guest_does_the_vm_ends_as_was_asked_for_and_the_record_is_true(
    admin: Person, demo_guests: dict[str, BootedGuest], action: str, force: bool
) -> None:
    asked: list[Asked] = []
    for name, story in STORIES.items():
        machine, guest = vm(f"demo-{name}"), demo_guests[f"demo-{name}"]
        wait_status(machine, "up", 120)
        boots, run = boots_of(guest), guest.domain.ID()
        override = {"force": "yes" if force else "no", "graceful_delay": story.delay}
        asked.append(Asked(story, machine, guest, boots, run, admin.act(action, machine, **override)))
    for one in asked:
        check_what_came_of(one, admin, force=force)


@dataclass(frozen=True)
class Asked:
    """A guest that was asked to go down.

    Attributes:
        boots: How often it had come up before.
        run: libvirt's id of the run in which it was asked.
    """

    story: Story
    machine: VirtualMachine
    guest: BootedGuest
    boots: int
    run: int
    operation: Operation


def check_what_came_of(asked: Asked, admin: Person, *, force: bool) -> None:
    """The VM has ended as its story says, and so does the record; it is left running."""
    story, machine, guest = asked.story, asked.machine, asked.guest
    operation = ended(asked.operation.pk, timeout=180)
    steps = list(operation.steps.values_list("kind", "ok", "detail"))
    assert operation.outcome == (story.outcome or (Outcome.FORCED if force else Outcome.GAVE_UP)), steps
    kinds = [kind for kind, _, _ in steps]
    assert not story.step or story.step in kinds
    assert kinds.count("destroy") == (operation.outcome == Outcome.FORCED)
    went_down = operation.outcome != Outcome.GAVE_UP
    rebooted = went_down and operation.action == "reboot"
    assert kinds.count("start") == rebooted
    if rebooted:
        guest.wait_ready(asked.boots + 1)
        wait_status(machine, "up")
        assert guest.domain.ID() != asked.run
        assert boots_of(guest) == asked.boots + 1
        return
    wait_status(machine, "down" if went_down else "paused")
    run_again(admin, machine, guest)


@pytest.mark.behaviour(16)
def test_the_record_of_a_guest_that_restarted_instead_says_so(
    admin: Person, demo_guests: dict[str, BootedGuest]
) -> None:
    machine, guest = vm("demo-resets"), demo_guests["demo-resets"]
    wait_status(machine, "up", 120)
    boots, last = boots_of(guest), Event.objects.latest("id").pk
    operation = ended(admin.act("reboot", machine, force="no", graceful_delay=60).pk, 120)
    told = wait_until(
        lambda: Event.objects.filter(id__gt=last, vm=machine, code=Code.GUEST_RESET).first(), "an event tells of it"
    )
    assert "restarted itself instead of shutting down" in told.message
    assert (told.operation, told.actor_name) == (operation, "")
    assert operation.steps.filter(kind="reset_instead").count() == 1
    guest.wait_ready(boots + 1)
    assert Event.objects.filter(id__gt=last, vm=machine, code=Code.GUEST_RESET).count() == 1


@pytest.mark.behaviour(16)
def test_a_guest_that_halts_when_told_to_restart_inside_is_started_again(
    admin: Person, demo_guests: dict[str, BootedGuest]
) -> None:
    machine, guest = vm("demo-halts"), demo_guests["demo-halts"]
    wait_status(machine, "up", 120)
    boots = boots_of(guest)
    VirtualMachine.objects.filter(pk=machine.pk).update(restart_inside=True)
    try:
        operation = ended(admin.act("reboot", machine, force="no", graceful_delay=60).pk, 120)
    finally:
        VirtualMachine.objects.filter(pk=machine.pk).update(restart_inside=False)
    kinds = list(operation.steps.values_list("kind", flat=True))
    assert (operation.outcome, kinds.count("ask_restart"), kinds.count("start")) == (Outcome.CLEAN_AGENT, 1, 1)
    guest.wait_ready(boots + 1)


@pytest.mark.behaviour(17)
def test_a_restart_by_the_guest_itself_is_one_event_and_names_nobody(
    admin: Person, demo_guests: dict[str, BootedGuest]
) -> None:
    machine, guest = vm("demo-panics"), demo_guests["demo-panics"]
    wait_status(machine, "up", 120)
    boots, last = boots_of(guest), Event.objects.latest("id").pk
    before = Operation.objects.filter(vm=machine).count()
    guest.restart_by_agent()
    guest.wait_ready(boots + 1)
    told = wait_until(lambda: list(Event.objects.filter(id__gt=last, vm=machine)), "an event tells of it")
    assert [(event.code, event.actor_name, event.operation) for event in told] == [(Code.GUEST_RESET, "", None)]
    assert Operation.objects.filter(vm=machine).count() == before


@pytest.mark.behaviour(20)
def test_giving_up_on_a_guest_that_crashed_says_so(admin: Person, demo_guests: dict[str, BootedGuest]) -> None:
    machine, guest = vm("demo-preserved"), demo_guests["demo-preserved"]
    wait_status(machine, "up", 120)
    operation = ended(admin.act("shut_down", machine, force="no", graceful_delay=8).pk, 120)
    assert operation.outcome == Outcome.GAVE_UP
    assert any("crashed" in message for message in messages(machine))
    wait_status(machine, "paused")
    assert admin.try_to("shut_down", machine).status == 409
    run_again(admin, machine, guest)


@pytest.mark.behaviour(35)
@pytest.mark.parametrize(
    ("boot", "outcome", "failure"),
    [("hang", Outcome.CLEAN_AGENT, Failure.NONE), ("panic", Outcome.FAILED, Failure.WENT_DOWN_AGAIN)],
)
def test_a_guest_that_does_not_get_through_its_boot(
    admin: Person, demo_guests: dict[str, BootedGuest], boot: str, outcome: Outcome, failure: Failure
) -> None:
    machine, guest = vm("demo-halts"), demo_guests["demo-halts"]
    wait_status(machine, "up", 120)
    stored = guest.domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)
    connection = libvirt.open(guest.libvirtd.uri)
    try:
        connection.defineXML(stored.replace("portal.boot=ok", f"portal.boot={boot}"))
        operation = ended(admin.act("reboot", machine, force="no", graceful_delay=60).pk, 180)
        assert (operation.outcome, operation.failure) == (outcome, failure)
        assert operation.steps.filter(kind="start").count() == 1
        if failure is Failure.NONE:
            assert operation.known_by is Proof.AGENT_LATE
            wait_status(machine, "up")
            ended(admin.act("power_off", machine).pk)
        wait_status(machine, "down")
    finally:
        connection.defineXML(stored)
        connection.close()
    run_again(admin, machine, guest)
