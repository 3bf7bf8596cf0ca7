"""The keyboard: single keys, hints, and focus that stays while the list changes under it."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Page, expect

from tests.browser.conftest import CheckAccessibility, OpenPage
from tests.browser.test_vm_list import refreshed
from tests.support.scene import MakeOperation, MakeVm
from vms.domain.observation import DomainState
from vms.domain.power import VmStatus
from vms.models import Preference, VirtualMachine

pytestmark = pytest.mark.browser


def press(page: Page, *keys: str) -> None:
    """Press keys one after the other."""
    for key in keys:
        page.keyboard.press(key)


def test_single_keys_search_move_select_and_act(open_page: OpenPage, admin: User, make_vm: MakeVm) -> None:
    first, second, third = (make_vm(name) for name in ("web01", "web02", "web03"))
    page = open_page(admin)
    press(page, "j", "j")
    expect(page.locator(f"#vm_select_{second.pk}")).to_be_focused()
    press(page, ".")
    expect(page.locator("#vm_menu_run")).to_be_focused()
    press(page, "j", "x")  # in a menu they are its own
    press(page, "Escape")
    expect(page.locator(f"#vm_select_{second.pk}")).to_be_focused()
    press(page, "e")
    expect(page.locator("#dialog")).to_contain_text("web02")
    press(page, "x", "r", "/")  # in a dialog they do nothing
    press(page, "Escape")
    expect(page.locator(f"#vm_select_{second.pk}")).to_be_focused()
    expect(page.locator(f"#vm_select_{second.pk}")).not_to_be_checked()
    press(page, "r")
    expect(page.get_by_role("dialog", name="Reboot web02?")).to_be_visible()
    press(page, "Escape", "k", "x", "j", "j", "x")
    expect(page.locator("#vm_toolbar_count")).to_have_text("2 selected")
    press(page, "r")
    dialog = page.get_by_role("dialog", name="Reboot 2 virtual machines?")
    expect(dialog).to_contain_text(first.name)
    expect(dialog).to_contain_text(third.name)
    press(page, "Escape", "/")
    expect(page.locator("#vm_filter_text")).to_be_focused()
    page.keyboard.type("jkxre.?/")
    expect(page.locator("#vm_filter_text")).to_have_value("jkxre.?/")
    expect(page.locator("#dialog")).to_be_hidden()


def test_single_keys_are_listed_and_can_be_switched_off_and_on(
    open_page: OpenPage, viewer: User, vm: VirtualMachine, check_accessibility: CheckAccessibility
) -> None:
    page = open_page(viewer)
    press(page, "?")
    expect(page.get_by_role("dialog", name="Keyboard shortcuts")).to_contain_text("Open its menu")
    check_accessibility(page)
    page.get_by_role("button", name="Switch single keys off").click()
    expect(page.locator("#dialog")).to_be_hidden()
    press(page, "?", "j", "/")
    refreshed(page)
    expect(page.locator("#dialog")).to_be_hidden()
    expect(page.locator("#vm_filter_text")).not_to_be_focused()
    page.goto("/events/")
    press(page, "/")
    expect(page.locator("#vm_filter_text")).not_to_be_focused()
    assert not Preference.objects.get(user=viewer).shortcuts
    page.locator("#user-menu-button").click()
    page.get_by_role("menuitem", name="Keyboard shortcuts").click()
    page.get_by_role("button", name="Switch single keys on").click()
    expect(page.locator("#dialog")).to_be_hidden()
    press(page, "/")
    expect(page.locator("#vm_filter_text")).to_be_focused()


def test_a_hint_is_shown_until_it_was_dismissed(
    open_page: OpenPage, viewer: User, vm: VirtualMachine, check_accessibility: CheckAccessibility
) -> None:
    page = open_page(viewer)
    hint = page.get_by_role("complementary", name="What this page is for")
    expect(hint).to_contain_text("All virtual machines, as they are now.")
    check_accessibility(page)
    page.locator("#hint_list_dismiss").focus()
    press(page, "Enter")
    expect(hint).to_be_hidden()
    expect(page.locator("#main")).to_be_focused()
    page.reload()
    expect(page.locator("#vm_table")).to_be_visible()
    expect(hint).to_be_hidden()
    page.goto("/operations/")
    expect(hint).to_contain_text("Every power action that somebody asked for")


def test_focus_menu_selection_and_half_typed_text_stay_while_rows_change(
    open_page: OpenPage, operator: User, make_vm: MakeVm, make_operation: MakeOperation
) -> None:
    first, second = make_vm("web01"), make_vm("web02")
    page = open_page(operator)

    def change(status: VmStatus, word: str, newcomer: str) -> None:
        """Change a row that is there and have another one come, and wait until the page shows both."""
        VirtualMachine.objects.filter(pk=first.pk).update(status=status, domain_state=DomainState.DOWN)
        make_vm(newcomer)
        expect(page.locator(f"#vm_row_{first.pk} .portal-status")).to_have_text(word)
        expect(page.get_by_text(newcomer, exact=True)).to_have_count(1)

    # A box that has the keyboard, with the selection.
    press(page, "j", "x", "j")
    change(VmStatus.DOWN, "Down", "aaa")
    expect(page.locator(f"#vm_select_{second.pk}")).to_be_focused()
    expect(page.locator(f"#vm_select_{first.pk}")).to_be_checked()
    # An open menu, with the item that has the keyboard.
    press(page, ".")
    expect(page.locator("#vm_menu_run")).to_be_focused()
    press(page, "End")
    change(VmStatus.SUSPENDED, "Suspended", "aab")
    expect(page.locator("#vm_menu_power_cycle")).to_be_focused()
    press(page, "Escape")
    expect(page.locator(f"#vm_select_{second.pk}")).to_be_focused()
    # The search, half typed.
    press(page, "/")
    page.keyboard.type("status=d")
    change(VmStatus.DOWN, "Down", "aac")
    expect(page.locator("#vm_filter_text")).to_be_focused()
    page.keyboard.type("own")
    expect(page.locator("#vm_filter_text")).to_have_value("status=down")
    page.locator("#vm_filter_text").fill("")
    # A dialog with a reason half typed, while the VM that it is about changes behind it.
    page.locator(f"#vm_select_{second.pk}").focus()
    press(page, "x")  # web01, which was selected, is down by now and is left alone
    expect(page.locator("#vm_toolbar_count")).to_have_text("2 selected")
    press(page, "r")
    page.get_by_label("Reason").focus()
    page.keyboard.type("new ker")
    make_operation(second, actor_name="somebody else")
    change(VmStatus.PAUSED, "Paused", "aad")
    expect(page.locator("#operation_strip")).to_contain_text("somebody else")
    expect(page.get_by_label("Reason")).to_be_focused()
    page.keyboard.type("nel")
    expect(page.get_by_label("Reason")).to_have_value("new kernel")
    press(page, "Escape")
    expect(page.locator(f"#vm_select_{second.pk}")).to_be_focused()
    # A strip that was folded stays so.
    page.locator("#operation_strip_title").click()
    change(VmStatus.DOWN, "Down", "aae")
    expect(page.locator("#operation_strip_details")).not_to_have_attribute("open", "")
