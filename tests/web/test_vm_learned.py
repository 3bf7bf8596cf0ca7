"""`vm_learned`, and what a VM needed before wherever its delay is shown: in its dialog and before a reboot."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from tests.support.scene import LogIn, MakeOperation, MakeVm
from vms import queries
from vms.domain.learned import REMEMBERED, Lessons, Times
from vms.domain.observation import Proof
from vms.domain.operation import Outcome
from vms.domain.power import Action
from vms.models import Operation, VirtualMachine

pytestmark = pytest.mark.behaviour(35)

Lesson = Callable[..., Operation]


@pytest.fixture
def lesson(make_operation: MakeOperation) -> Lesson:
    """Make an ended operation whose guest went down, and whose VM returned, in so many seconds."""

    def make(
        vm: VirtualMachine,
        down: float | None = None,
        back: float | None = None,
        outcome: Outcome = Outcome.CLEAN_AGENT,
        **fields: Any,
    ) -> Operation:
        operation = make_operation(vm, outcome=outcome, **fields)
        assert operation.asked_at is not None
        if down is not None:
            operation.went_down_at = operation.asked_at + timedelta(seconds=down)
        if back is not None:
            operation.started_at = operation.asked_at + timedelta(seconds=100)
            operation.returned_at = operation.started_at + timedelta(seconds=back)
            operation.proof = operation.proof or Proof.AGENT
        operation.save()
        return operation

    return make


def learned(vm: VirtualMachine) -> Lessons:
    """Return what is known of a VM."""
    return queries.learned([vm])[vm.pk]


def words(html: str) -> str:
    """Return a page with its white space in single blanks."""
    return " ".join(html.split())


def url(vm: VirtualMachine) -> str:
    """Return the address of what is known of a VM."""
    return reverse("vm_learned", args=[vm.pk])


# What counts


def test_nothing_is_known_of_a_vm_that_never_went_down(vm: VirtualMachine) -> None:
    assert learned(vm) == Lessons()
    assert queries.learned([]) == {}


def test_clean_shutdowns_and_returns_count_each_for_itself(vm: VirtualMachine, lesson: Lesson) -> None:
    lesson(vm, 31, 3)
    lesson(vm, 14, outcome=Outcome.CLEAN_ACPI, action=Action.SHUT_DOWN)
    lesson(vm, 9, 5)
    assert learned(vm) == Lessons(Times(3, 14, 31), Times(2, 4, 5))


def test_a_guest_that_was_slower_than_the_delay_is_a_lesson_too(vm: VirtualMachine, lesson: Lesson) -> None:
    lesson(vm, 10)
    lesson(vm, 75, outcome=Outcome.GAVE_UP)
    lesson(vm, 80, outcome=Outcome.CANCELLED)
    lesson(vm, outcome=Outcome.GAVE_UP)
    assert learned(vm).shutdowns == Times(3, 75, 80)


def test_a_reboot_that_failed_after_a_clean_shutdown_still_tells_how_long_that_took(
    vm: VirtualMachine, lesson: Lesson
) -> None:
    lesson(vm, 12, outcome=Outcome.FAILED, failure="start_failed", brought_down=Outcome.CLEAN_AGENT)
    assert learned(vm) == Lessons(Times(1, 12, 12))


def test_what_was_forced_tells_of_no_shutdown_but_of_a_return(vm: VirtualMachine, lesson: Lesson) -> None:
    lesson(vm, 60, 7, outcome=Outcome.FORCED)
    lesson(vm, 60, outcome=Outcome.OTHER_HAND)
    assert learned(vm) == Lessons(None, Times(1, 7, 7))


@pytest.mark.parametrize("proof", [Proof.RUNNING, Proof.AGENT_LATE, Proof.PAUSED])
def test_a_return_without_its_agent_has_no_length(vm: VirtualMachine, lesson: Lesson, proof: Proof) -> None:
    lesson(vm, 10, 60, proof=proof)
    assert learned(vm).returns is None


def test_only_the_newest_count_and_only_the_vms_own(make_vm: MakeVm, lesson: Lesson) -> None:
    one, two = make_vm("one"), make_vm("two")
    newest = lesson(one, 5, 1).created_at
    for age in range(1, REMEMBERED + 5):
        lesson(one, 10 if age < REMEMBERED else 3600, 2, created_at=newest - timedelta(hours=age))
    lesson(two, 99, 9)
    assert learned(one) == Lessons(Times(REMEMBERED, 10, 10), Times(REMEMBERED, 2, 2))
    assert learned(two).shutdowns == Times(1, 99, 99)


def test_many_vms_cost_as_many_queries_as_one(make_vm: MakeVm, lesson: Lesson, django_assert_num_queries: Any) -> None:
    vms = [make_vm(f"vm{number}") for number in range(20)]
    for number, vm in enumerate(vms):
        lesson(vm, number, number)
    for count in (1, 20):
        with django_assert_num_queries(2):
            assert len(queries.learned(vms[:count])) == count


# Where it is shown


@pytest.fixture
def slow(vm: VirtualMachine, lesson: Lesson) -> VirtualMachine:
    """A VM that took 9, 14 and 30.2 s to shut down, and 3 s to return."""
    for seconds in (9, 14, 30.2):
        lesson(vm, seconds, 3)
    return vm


KNOWN = "Its last 3 clean shutdowns took 14 s (median), 31 s at most."


def test_the_dialog_tells_how_long_the_vm_took(log_in: LogIn, admin: User, slow: VirtualMachine) -> None:
    html = words(log_in(admin).get(reverse("vm_edit", args=[slow.pk])).content.decode())
    assert KNOWN in html
    assert "Its last 3 returns took 3 s (median), 3 s at most, from start to guest agent." in html
    assert "enough" not in html.split('id="vm_learned"')[1].split("</fieldset>")[0]


def test_a_single_lesson_has_no_median(log_in: LogIn, admin: User, vm: VirtualMachine, lesson: Lesson) -> None:
    lesson(vm, 7.2, 2)
    html = words(log_in(admin).get(url(vm)).content.decode())
    assert "Its last clean shutdown took 8 s." in html
    assert "Its last return took 2 s, from start to guest agent." in html


@pytest.mark.parametrize(
    ("typed", "told", "level"),
    [
        ({"graceful_delay": "13"}, "A delay of 13 s is shorter than what half of its shutdowns took (14 s)", "danger"),
        ({"graceful_delay": "14"}, "A delay of 14 s is shorter than its slowest shutdown took (31 s)", "warning"),
        ({"graceful_delay": "30"}, "A delay of 30 s is shorter than its slowest shutdown took (31 s)", "warning"),
        ({"graceful_delay": "31"}, "", ""),
        ({"graceful_delay": ""}, "", ""),
        ({"graceful_delay": "5", "delay_default": "on"}, "", ""),
        ({"graceful_delay": "abc"}, "", ""),
        ({}, "", ""),
    ],
)
def test_a_delay_that_is_typed_is_held_against_it(
    log_in: LogIn, admin: User, slow: VirtualMachine, typed: dict[str, str], told: str, level: str
) -> None:
    html = words(log_in(admin).get(url(slow), typed).content.decode())
    assert html.startswith('<div class="portal-learned" id="vm_learned"')
    assert KNOWN in html
    assert told in html
    assert ("is shorter" in html) is bool(told)
    assert (f"pf-m-{level}" in html) is bool(level) or not level


def test_nothing_is_said_of_a_vm_of_which_nothing_is_known(log_in: LogIn, admin: User, vm: VirtualMachine) -> None:
    html = log_in(admin).get(url(vm), {"graceful_delay": "1"}).content.decode()
    assert "<p" not in html


@pytest.mark.parametrize("action", [Action.REBOOT, Action.SHUT_DOWN])
def test_the_confirmation_tells_it_and_warns(
    log_in: LogIn, operator: User, slow: VirtualMachine, action: Action
) -> None:
    client = log_in(operator)
    html = words(client.get(reverse("vm_action", args=[action]), {"vm": str(slow.pk)}).content.decode())
    assert KNOWN in html
    assert "is shorter" not in html
    options = {"vm": str(slow.pk), "graceful_delay": "10"}
    html = words(client.get(reverse("vm_action_plan", args=[action]), options).content.decode())
    assert "A delay of 10 s is shorter than what half of its shutdowns took (14 s)" in html


def test_an_action_that_asks_no_guest_tells_nothing_of_it(log_in: LogIn, operator: User, slow: VirtualMachine) -> None:
    html = log_in(operator).get(reverse("vm_action", args=[Action.POWER_CYCLE]), {"vm": str(slow.pk)}).content.decode()
    assert "clean shutdown" not in html


def test_the_confirmation_of_several_names_those_that_took_longer(
    log_in: LogIn, operator: User, make_vm: MakeVm, slow: VirtualMachine, lesson: Lesson
) -> None:
    quick, unknown = make_vm("quick"), make_vm("unknown")
    lesson(quick, 2)
    options = {"vm": [str(vm.pk) for vm in (slow, quick, unknown)], "graceful_delay": "20"}
    html = words(log_in(operator).get(reverse("vm_action_plan", args=[Action.REBOOT]), options).content.decode())
    assert "web01: a delay of 20 s is shorter than its slowest shutdown took (31 s)." in html
    assert html.count("is shorter") == 1


# Who may see it


def test_it_needs_the_permission_to_edit(client: Client, log_in: LogIn, operator: User, slow: VirtualMachine) -> None:
    assert client.get(url(slow)).headers["Location"].startswith(reverse("login"))
    assert log_in(operator).get(url(slow)).status_code == 403


def test_a_vm_that_is_not_there_is_not_found(log_in: LogIn, admin: User) -> None:
    assert log_in(admin).get(reverse("vm_learned", args=[uuid.uuid4()])).status_code == 404


def test_it_only_looks(log_in: LogIn, admin: User, slow: VirtualMachine) -> None:
    assert log_in(admin).post(url(slow)).status_code == 405
