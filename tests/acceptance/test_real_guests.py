"""The main job on real guests: each of the four demo guests rebooted by its policy, force off and on."""

from __future__ import annotations

import re

import pytest

from tests.acceptance.instance import Instance, Person, ended, messages, vm, wait_status
from tests.support.forms import fill_page
from tests.support.guests import BootedGuest
from tests.support.waiting import wait_until
from vms.domain.operation import Outcome
from vms.models import Operation, VirtualMachine

pytestmark = pytest.mark.guest

DELAY = 15
#: The demo guests, and how each goes down that does so in time.
CLEAN = {
    "demo-obedient": Outcome.CLEAN_AGENT,
    "demo-acpi": Outcome.CLEAN_ACPI,
    "demo-slow": None,
    "demo-stubborn": None,
}


@pytest.fixture(scope="module")
def admin(real_portal: Instance) -> Person:
    """The administrator, logged in."""
    return real_portal.person()


def set_policy(admin: Person, machine: VirtualMachine, *, force: bool, delay: int = DELAY) -> None:
    """Set a VM's own policy through the Edit VM dialog."""
    dialog = f"/vms/{machine.pk}/edit/"
    typed: dict[str, str | bool] = {"force": force, "force_default": False, "graceful_delay": str(delay)}
    answer = admin.post(dialog, **fill_page(admin.get(dialog).body, **typed, delay_default=False))
    assert answer.status == 200, answer.body
    machine.refresh_from_db()
    assert (machine.force_power_off, machine.graceful_delay) == (force, delay)


def calls(operation: Operation) -> list[str]:
    """Return the calls of an operation's journal, repeated presses of the button once."""
    made = [step.kind for step in operation.steps.order_by("number") if step.kind not in ("prepare", "relent")]
    return [kind for number, kind in enumerate(made) if number == 0 or kind != made[number - 1]]


@pytest.mark.behaviour(1, 2, 5)
@pytest.mark.parametrize("force", [False, True], ids=["give up", "force"])
def test_every_guest_is_rebooted_by_its_policy(admin: Person, demo_guests: dict[str, BootedGuest], force: bool) -> None:
    machines = {name: vm(name) for name in CLEAN}
    for machine in machines.values():
        wait_status(machine, "up")
        set_policy(admin, machine, force=force)
    boots = {name: boots_of(demo_guests[name]) for name in CLEAN}

    asked = {name: admin.act("reboot", machine) for name, machine in machines.items()}

    for name, clean in CLEAN.items():
        operation, machine = ended(asked[name].pk, timeout=120), machines[name]
        assert operation.outcome == (clean or (Outcome.FORCED if force else Outcome.GAVE_UP)), list(
            operation.steps.values_list("kind", "ok", "detail")
        )
        assert calls(operation).count("start") == (operation.outcome != Outcome.GAVE_UP)
        if operation.outcome == Outcome.GAVE_UP:
            check_what_follows_giving_up(admin, machine, demo_guests[name])
        else:
            machine.refresh_from_db()
            assert machine.status == "up"
            demo_guests[name].wait_ready(boots[name] + 1)


def check_what_follows_giving_up(admin: Person, machine: VirtualMachine, guest: BootedGuest) -> None:
    """It was still up, and stays down once it goes down; then it is run again."""
    assert any("gave up" in message and "still Up" in message for message in messages(machine))
    if machine.name == "demo-slow":
        check_it_obeys_late(machine)
    else:
        check_a_plain_shut_down_leaves_it_down(admin, machine)
    boots = boots_of(guest)
    ended(admin.act("run", machine).pk)
    guest.wait_ready(boots + 1)


def boots_of(guest: BootedGuest) -> int:
    """Return how often a guest has come up so far."""
    return guest.serial().count(" ready after ")


def check_it_obeys_late(machine: VirtualMachine) -> None:
    """It was asked once, and goes down at 20 s: some 5 s too late, says an event."""
    wait_status(machine, "down", 30)
    late = wait_until(
        lambda: next((text for text in messages(machine) if "after the portal had stopped waiting" in text), None),
        "an event tells that it obeyed late",
    )
    # It takes 20 s, and then as long as a guest and its host need to shut down, which on a busy machine is seconds. So
    # is, there, the time from the end of the delay until the portal stops waiting.
    told = re.search(r"went down (\d+) s after .* delay of (\d+) s would", late)
    assert told is not None, late
    too_late, enough = int(told.group(1)), int(told.group(2))
    assert 20 <= enough <= 30, late
    assert DELAY + too_late <= enough <= DELAY + too_late + 5, late


def check_a_plain_shut_down_leaves_it_down(admin: Person, machine: VirtualMachine) -> None:
    """No intent of the reboot that was given up on is left."""
    operation = ended(admin.act("shut_down", machine, force="yes", graceful_delay=2).pk)
    assert operation.outcome == Outcome.FORCED
    machine.refresh_from_db()
    assert machine.status == "down"
