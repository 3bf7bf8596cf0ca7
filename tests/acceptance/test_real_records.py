"""What the record of a real guest's reboot keeps: its screen before the power-off, and the proof that it is back."""

from __future__ import annotations

import pytest

from tests.acceptance.instance import Instance, Person, ended, vm, wait_status
from tests.support.guests import BootedGuest
from tests.support.pictures import colours
from vms import queries
from vms.domain.observation import Proof
from vms.domain.operation import Outcome

pytestmark = pytest.mark.guest


@pytest.fixture(scope="module")
def admin(real_portal: Instance) -> Person:
    """The administrator, logged in."""
    return real_portal.person()


@pytest.mark.behaviour(31, 35)
def test_the_screen_of_a_stubborn_guest_is_kept_before_it_is_powered_off(
    admin: Person, demo_guests: dict[str, BootedGuest]
) -> None:
    machine = vm("demo-stubborn")
    wait_status(machine, "up")
    done = ended(admin.act("reboot", machine, force="yes", graceful_delay=4).pk, timeout=120)
    assert done.outcome == Outcome.FORCED, list(done.steps.values_list("kind", "ok", "detail"))
    screen = done.screen
    seen = colours(bytes(screen.png))
    assert seen.total() == screen.width * screen.height
    # The guest's own screen: text and lines on blue. Neither black, nor one colour, nor the firmware's.
    (red, green, blue), ground = seen.most_common(1)[0]
    assert blue > 128
    assert red == green == 0
    assert seen.total() - ground > 4_000
    assert done.known_by is Proof.AGENT
    assert done.seconds_to_return is not None
    demo_guests["demo-stubborn"].wait_ready(2)


@pytest.mark.behaviour(35)
def test_a_real_guest_is_learned_from(admin: Person, demo_guests: dict[str, BootedGuest]) -> None:
    machine = vm("demo-obedient")
    wait_status(machine, "up")
    done = ended(admin.act("reboot", machine, graceful_delay=60).pk, timeout=120)
    assert done.outcome == Outcome.CLEAN_AGENT
    lessons = queries.learned([machine])[machine.pk]
    assert lessons.shutdowns is not None
    assert lessons.returns is not None
    assert (lessons.shutdowns.count, lessons.returns.count) == (1, 1)
    assert 0 < lessons.shutdowns.slowest < 60
    # It boots: its agent cannot have been there at once.
    assert 0.5 < lessons.returns.slowest < 90
    plan = admin.get(f"/vms/reboot/plan/?vm={machine.pk}&graceful_delay=1").body
    assert "Its last clean shutdown took" in plan


@pytest.mark.behaviour(35)
def test_a_guest_without_an_agent_is_known_to_be_back_by_its_running(
    admin: Person, demo_guests: dict[str, BootedGuest]
) -> None:
    machine = vm("demo-acpi")
    wait_status(machine, "up")
    done = ended(admin.act("reboot", machine, graceful_delay=60).pk, timeout=120)
    assert (done.outcome, done.known_by) == (Outcome.CLEAN_ACPI, Proof.RUNNING)
