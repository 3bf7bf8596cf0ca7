"""The list of VMs: toolbar, context menu, selection, what is kept while it refreshes itself."""

from __future__ import annotations

import re

import pytest
from django.contrib.auth.models import User
from django.urls import reverse
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import OpenPage
from tests.support.scene import MakeOperation, MakeVm
from vms.domain.observation import DomainState
from vms.domain.power import VmStatus
from vms.models import Operation, VirtualMachine

pytestmark = pytest.mark.browser

MENU = [
    "Run",
    "Run once…",
    "Resume",
    "Suspend",
    "Shut down",
    "Reboot",
    "Console",
    "Edit",
    "Pending changes…",
    "Operations",
    "Events",
    "Power off",
    "Power cycle",
    "Remove",
]


def select(page: Page, vm: VirtualMachine) -> None:
    """Tick a row and wait until the toolbar knows."""
    page.get_by_role("checkbox", name=vm.name, exact=True).check()
    expect(page.locator("#vm_toolbar_count")).to_contain_text("selected")


def menu_items(page: Page) -> list[str]:
    """Return the names in the open context menu."""
    expect(page.locator("#menu")).to_be_visible()
    return [item.inner_text().split("\n")[0] for item in page.locator("#menu [role=menuitem]").all()]


def focused(page: Page) -> Locator:
    """Return what has the keyboard."""
    return page.locator("*:focus")


def refreshed(page: Page) -> None:
    """Wait until the list has refreshed itself, twice: the first may have been on its way already."""
    for _ in range(2):
        with page.expect_response(lambda response: "/vms/board/" in response.url):
            pass


def test_the_toolbar_stands_in_the_seeds_order(open_page: OpenPage, admin: User, vm: VirtualMachine) -> None:
    page = open_page(admin)
    select(page, vm)
    buttons = page.locator("#vm_toolbar .portal-toolbar__item > :is(a, button)")
    by_place = sorted(buttons.all(), key=lambda button: (button.bounding_box() or {"x": 0})["x"])
    assert [button.inner_text() for button in by_place] == [
        "Run",
        "Suspend",
        "Shut down",
        "Power off",
        "Reboot",
        "Console",
        "Edit",
    ]
    expect(page.locator("#vm_toolbar_console")).to_have_attribute("href", reverse("vm_console", args=[vm.pk]))


def test_a_disabled_control_tells_a_keyboard_why_and_does_nothing(
    open_page: OpenPage, admin: User, make_vm: MakeVm
) -> None:
    vm = make_vm(status=VmStatus.DOWN)
    page = open_page(admin)
    select(page, vm)
    reboot = page.locator("#vm_toolbar_reboot")
    reboot.focus()
    expect(page.locator("#vm_toolbar_reboot_why")).to_be_visible()
    expect(reboot).to_have_accessible_description("Cannot reboot web01 because it is Down.")
    page.keyboard.press("Enter")
    refreshed(page)
    expect(page.locator("#dialog")).to_be_hidden()


def test_right_click_the_dots_and_the_keyboard_give_one_and_the_same_menu(
    open_page: OpenPage, admin: User, vm: VirtualMachine
) -> None:
    page = open_page(admin)
    row = page.locator(f"#vm_row_{vm.pk}")
    row.get_by_text("kvm1").click(button="right")
    assert menu_items(page) == MENU
    page.keyboard.press("Escape")
    expect(page.locator("#menu")).to_be_hidden()
    row.get_by_role("button", name="Actions on web01").click()
    assert menu_items(page) == MENU
    page.keyboard.press("Escape")
    expect(row.get_by_role("button", name="Actions on web01")).to_be_focused()
    for key in ("Shift+F10", "ContextMenu"):
        row.get_by_role("checkbox").focus()
        page.keyboard.press(key)
        assert menu_items(page) == MENU
        page.keyboard.press("Escape")
        expect(row.get_by_role("checkbox")).to_be_focused()


def test_the_whole_main_job_goes_by_keyboard_alone(open_page: OpenPage, operator: User, vm: VirtualMachine) -> None:
    page = open_page(None)
    page.get_by_label("Username").focus()
    page.keyboard.type("oskar")
    page.keyboard.press("Tab")
    page.keyboard.type("a password")
    page.keyboard.press("Enter")
    expect(page.locator("#vm_table")).to_be_visible()
    for _ in range(60):
        page.keyboard.press("Tab")
        if focused(page).get_attribute("id") == f"vm_select_{vm.pk}":
            break
    expect(page.locator(f"#vm_select_{vm.pk}")).to_be_focused()
    page.keyboard.press("Shift+F10")
    expect(page.locator("#vm_menu_run")).to_be_focused()
    page.keyboard.press("End")
    expect(page.locator("#vm_menu_power_cycle")).to_be_focused()
    page.keyboard.press("ArrowDown")  # around the end
    expect(page.locator("#vm_menu_run")).to_be_focused()
    page.keyboard.press("Home")
    page.keyboard.type("reb")
    expect(page.locator("#vm_menu_reboot")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog", name="Reboot web01?")).to_be_visible()
    for _ in range(10):
        if focused(page).get_attribute("id") == "vm_action_confirm":
            break
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator(f"#vm_row_{vm.pk}")).to_contain_text("Rebooting")
    expect(page.locator("#dialog")).to_be_hidden()
    expect(page.locator(f"#vm_select_{vm.pk}")).to_be_focused()
    assert Operation.objects.get().actor_name == "oskar"


def test_a_row_changes_by_itself_and_focus_selection_and_open_menu_stay(
    open_page: OpenPage, operator: User, make_vm: MakeVm
) -> None:
    first, second = make_vm("web01"), make_vm("web02")
    page = open_page(operator)
    select(page, first)
    page.locator(f"#vm_row_{second.pk}").get_by_role("button", name="Actions on web02").click()
    expect(page.locator("#vm_menu_run")).to_be_focused()
    page.keyboard.press("End")
    VirtualMachine.objects.filter(pk=first.pk).update(status=VmStatus.DOWN, domain_state=DomainState.DOWN)
    make_vm("aaa")
    expect(page.locator(f"#vm_row_{first.pk}")).to_contain_text("Down")
    expect(page.get_by_text("aaa", exact=True)).to_be_visible()
    expect(page.locator("#vm_menu_power_cycle")).to_be_focused()
    expect(page.get_by_role("checkbox", name="web01", exact=True)).to_be_checked()
    expect(page.get_by_role("checkbox", name="web02", exact=True)).not_to_be_checked()
    page.keyboard.press("Escape")
    # The toolbar follows what the selected VM has become.
    expect(page.locator("#vm_toolbar_reboot")).to_have_attribute("aria-disabled", "true")
    expect(page.locator("#vm_toolbar_run")).not_to_have_attribute("aria-disabled", "true")


def test_a_row_that_goes_leaves_the_keyboard_to_its_neighbour(
    open_page: OpenPage, operator: User, make_vm: MakeVm
) -> None:
    rows = [make_vm(name=name, status="up") for name in ("a01", "b01", "c01")]
    page = open_page(operator, "/?filter=status%3Dup")
    page.locator(f"#vm_select_{rows[1].pk}").focus()
    for gone, heir in ((1, f"vm_select_{rows[2].pk}"), (2, f"vm_select_{rows[0].pk}")):
        VirtualMachine.objects.filter(pk=rows[gone].pk).update(status="down")
        expect(page.locator(f"#vm_row_{rows[gone].pk}")).to_have_count(0)
        expect(page.locator(f"#{heir}")).to_be_focused()
    VirtualMachine.objects.update(status="down")
    expect(page.locator(f"#vm_row_{rows[0].pk}")).to_have_count(0)
    expect(page.get_by_role("link", name="Show all")).to_be_focused()


def test_the_countdown_counts_and_the_strip_steers(
    open_page: OpenPage, operator: User, make_vm: MakeVm, make_operation: MakeOperation
) -> None:
    vm = make_vm("db01", VmStatus.REBOOT_IN_PROGRESS)
    operation = make_operation(vm)
    page = open_page(operator)
    clock = page.locator(f"#vm_operation_{vm.pk} .portal-countdown__clock")
    expect(clock).to_have_text(re.compile(r"0:(3\d|40)"))
    page.get_by_role("button", name="Extend +60 s").click()
    expect(clock).to_have_text(re.compile(r"1:\d\d"))
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("#operation_strip")).to_contain_text("Stops waiting")
    operation.refresh_from_db()
    assert operation.cancel_requested


def test_select_all_takes_the_page(open_page: OpenPage, operator: User, make_vm: MakeVm) -> None:
    for name in ("a", "b", "c"):
        make_vm(name)
    page = open_page(operator)
    page.get_by_label("Select all on this page").check()
    expect(page.locator("#vm_toolbar_count")).to_have_text("3 selected")
    page.get_by_role("checkbox", name="b", exact=True).uncheck()
    expect(page.locator("#vm_toolbar_count")).to_have_text("2 selected")


def test_a_selection_that_is_taken_back_leaves_nothing_to_act_on(
    open_page: OpenPage, operator: User, vm: VirtualMachine
) -> None:
    page = open_page(operator)
    select(page, vm)
    expect(page.locator("#vm_toolbar_reboot")).not_to_have_attribute("aria-disabled", "true")
    page.get_by_role("checkbox", name=vm.name, exact=True).uncheck()
    expect(page.locator("#vm_toolbar_reboot")).to_have_attribute("aria-disabled", "true")


def test_a_viewer_is_offered_no_action(open_page: OpenPage, viewer: User, vm: VirtualMachine) -> None:
    page = open_page(viewer)
    select(page, vm)
    assert page.locator("#vm_toolbar .portal-toolbar__item").count() == 0
    page.get_by_role("button", name="Actions on web01").click()
    assert menu_items(page) == ["Pending changes…", "Operations", "Events"]


def test_a_narrow_window_needs_no_sideways_scrolling(open_page: OpenPage, admin: User, make_vm: MakeVm) -> None:
    make_vm("a-rather-long-name-of-a-virtual-machine-as-people-give-them")
    page = open_page(admin, width=320)
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    assert page.evaluate("document.getElementById('main').scrollWidth <= document.getElementById('main').clientWidth")
