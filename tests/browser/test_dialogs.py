"""The dialogs: confirmation and policy, their errors, their focus, and one operation for however many clicks."""

from __future__ import annotations

import re

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Page, Route, expect

from tests.browser.conftest import OpenPage
from tests.support.scene import MakeVm
from tests.support.waiting import wait_until
from vms.domain.power import VmStatus
from vms.models import Event, Operation, VirtualMachine

pytestmark = pytest.mark.browser


def ask(page: Page, vm: VirtualMachine, control: str) -> None:
    """Select a VM and open a dialog from the toolbar."""
    page.get_by_role("checkbox", name=vm.name, exact=True).check()
    expect(page.locator("#vm_toolbar_count")).to_have_text("1 selected")
    page.locator(f"#vm_toolbar_{control}").click()
    expect(page.locator("#dialog")).to_be_visible()


def test_reboot_is_confirmed_and_the_row_says_so_at_once(
    open_page: OpenPage, operator: User, vm: VirtualMachine
) -> None:
    page = open_page(operator)
    ask(page, vm, "reboot")
    dialog = page.get_by_role("dialog", name="Reboot web01?")
    expect(dialog).to_contain_text("Ask the guest agent to shut the guest down")
    expect(dialog).to_contain_text("60 s (portal default)")
    assert not Operation.objects.exists()
    page.get_by_label("Reason").fill("new kernel")
    page.locator("#vm_action_confirm").click()
    expect(page.locator(f"#vm_row_{vm.pk}")).to_contain_text("Rebooting")
    expect(dialog).to_be_hidden()
    expect(page.get_by_role("region", name="Notifications")).to_contain_text("Reboot of web01 was accepted.")
    expect(page.locator("#vm_toolbar_reboot")).to_be_focused()
    expect(page.locator("#operation_strip")).to_contain_text("1 operation running")
    assert Operation.objects.get().reason == "new kernel"


@pytest.mark.behaviour(22)
def test_a_double_click_is_one_operation(open_page: OpenPage, operator: User, vm: VirtualMachine) -> None:
    page = open_page(operator)
    posts: list[str] = []
    page.on("request", lambda request: posts.append(request.url) if request.method == "POST" else None)
    held: list[Route] = []
    page.route(
        "**/vms/reboot/", lambda route: held.append(route) if route.request.method == "POST" else route.continue_()
    )
    ask(page, vm, "reboot")
    confirm = page.locator("#vm_action_confirm")
    confirm.dblclick()
    expect(confirm).to_be_disabled()  # while it is on its way
    wait_until(lambda: page.evaluate("true") and held, "the request is held", 10)
    (route,) = held
    route.continue_()
    expect(page.locator(f"#vm_row_{vm.pk}")).to_contain_text("Rebooting")
    assert len(posts) == 1
    assert Operation.objects.count() == 1


def test_somebody_elses_operation_is_named_with_a_link(open_page: OpenPage, operator: User, vm: VirtualMachine) -> None:
    one, two = open_page(operator), open_page(operator)
    for page in (one, two):
        ask(page, vm, "reboot")
    one.locator("#vm_action_confirm").click()
    expect(one.locator(f"#vm_row_{vm.pk}")).to_contain_text("Rebooting")
    two.locator("#vm_action_confirm").click()
    expect(two.get_by_role("dialog", name="Reboot was refused")).to_contain_text("Cannot reboot web01")
    two.get_by_role("link", name="See the running operation").click()
    expect(two.get_by_role("heading", name="Reboot of web01")).to_be_visible()
    assert Operation.objects.count() == 1


def test_enter_in_a_field_does_not_confirm(open_page: OpenPage, operator: User, vm: VirtualMachine) -> None:
    page = open_page(operator)
    ask(page, vm, "shut_down")
    page.get_by_label("Reason").fill("a reason")
    page.keyboard.press("Enter")
    page.get_by_text("Options").click()
    page.get_by_label("Seconds to wait, this time").fill("30")
    page.keyboard.press("Enter")
    expect(page.locator("#vm_action_plan")).to_contain_text("30 s (this request)")
    expect(page.locator("#dialog")).to_be_visible()
    assert not Operation.objects.exists()


def test_an_override_shows_another_ladder_and_a_red_button(
    open_page: OpenPage, operator: User, vm: VirtualMachine
) -> None:
    page = open_page(operator)
    ask(page, vm, "reboot")
    plan, confirm = page.locator("#vm_action_plan"), page.locator("#vm_action_confirm")
    expect(plan).to_contain_text("Give up")
    page.get_by_text("Options").click()
    page.get_by_label("If the guest does not shut down in time").select_option("yes")
    expect(plan).to_contain_text("Power the VM off")
    expect(confirm).to_have_class(re.compile("pf-m-danger"))
    page.get_by_label("Seconds to wait, this time").fill("abc")
    expect(plan).to_contain_text("Enter whole seconds from 0 to 3600.")
    page.get_by_label("Seconds to wait, this time").fill("20")
    expect(plan).to_contain_text("after 0:20")
    confirm.click()
    expect(page.locator(f"#vm_row_{vm.pk}")).to_contain_text("Rebooting")
    assert (Operation.objects.get().force, Operation.objects.get().delay) == (True, 20)


def test_run_needs_no_confirmation(open_page: OpenPage, operator: User, make_vm: MakeVm) -> None:
    vm = make_vm(status=VmStatus.DOWN)
    page = open_page(operator)
    page.get_by_role("checkbox", name="web01", exact=True).check()
    expect(page.locator("#vm_toolbar_count")).to_have_text("1 selected")
    page.locator("#vm_toolbar_run").click()
    expect(page.locator(f"#vm_row_{vm.pk}")).to_contain_text("Waiting for launch")
    expect(page.locator("#dialog")).to_be_hidden()


@pytest.mark.behaviour(4)
def test_bad_delays_are_answered_at_the_field_and_nothing_is_saved(
    open_page: OpenPage, admin: User, vm: VirtualMachine
) -> None:
    page = open_page(admin)
    ask(page, vm, "edit")
    box = page.get_by_label("Graceful power-down delay")
    expect(box).to_have_attribute("placeholder", "60 (portal default)")
    expect(page.locator("#dialog")).to_contain_text("Empty: the portal default, 60 s.")
    for delay, sentence in (
        ("0", "0 seconds means no wait at all"),
        ("-1", "Enter whole seconds from 0 to 3600."),
        ("1.5", "Enter whole seconds from 0 to 3600."),
        ("abc", "Enter whole seconds from 0 to 3600."),
        ("3601", "Enter whole seconds from 0 to 3600."),
    ):
        box.fill(delay)
        with page.expect_response(lambda response: response.request.method == "POST") as answer:
            page.get_by_role("button", name="Save").click()
        assert answer.value.status == 422
        expect(page.locator("[data-error-summary]")).to_be_focused()
        expect(page.locator("#id_graceful_delay_error")).to_contain_text(sentence)
        expect(box).to_have_value(delay)
        expect(box).to_have_attribute("aria-invalid", "true")
    vm.refresh_from_db()
    assert (vm.force_power_off, vm.graceful_delay) == (None, None)
    assert not Event.objects.filter(vm=vm).exists()


def test_the_policy_is_set_and_set_back_to_the_default(open_page: OpenPage, admin: User, vm: VirtualMachine) -> None:
    page = open_page(admin)
    ask(page, vm, "edit")
    page.get_by_label("Power off if the guest does not shut down in time").check()
    page.get_by_label("Graceful power-down delay").fill("15")
    expect(page.get_by_label("Use the portal default: off")).not_to_be_checked()
    expect(page.get_by_label("Use the portal default: 60 s")).not_to_be_checked()
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#dialog")).to_be_hidden()
    expect(page.locator("#vm_toolbar_edit")).to_be_focused()
    vm.refresh_from_db()
    assert (vm.force_power_off, vm.graceful_delay) == (True, 15)
    page.locator("#vm_toolbar_edit").click()
    expect(page.locator("#dialog")).to_contain_text("In force now: 15 s, from this VM.")
    page.get_by_label("Use the portal default: off").check()
    expect(page.get_by_label("Power off if the guest does not shut down in time")).not_to_be_checked()
    page.get_by_label("Graceful power-down delay").fill("")
    expect(page.get_by_label("Use the portal default: 60 s")).to_be_checked()
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#dialog")).to_be_hidden()
    vm.refresh_from_db()
    assert (vm.force_power_off, vm.graceful_delay) == (None, None)


def test_escape_closes_and_focus_returns_to_where_it_was(open_page: OpenPage, admin: User, vm: VirtualMachine) -> None:
    page = open_page(admin)
    ask(page, vm, "reboot")
    page.keyboard.press("Escape")
    expect(page.locator("#dialog")).to_be_hidden()
    expect(page.locator("#vm_toolbar_reboot")).to_be_focused()
    page.get_by_role("button", name="Actions on web01").click()
    page.get_by_role("menuitem", name="Edit").click()
    expect(page.get_by_role("dialog", name="Edit web01")).to_be_visible()
    page.get_by_role("button", name="Cancel").press("Space")  # a link in a page of its own, here a button
    expect(page.locator("#dialog")).to_be_hidden()
    expect(page.get_by_role("button", name="Actions on web01")).to_be_focused()
