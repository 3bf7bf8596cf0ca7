"""The configuration in a browser: edit, pending badge, reboot now; run once; by keyboard too."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenPage
from tests.browser.test_dialogs import ask
from tests.support.scene import MakeVm, pending
from vms.domain.configuration import BootDevice
from vms.domain.power import VmStatus
from vms.domain.run_options import RunOptions
from vms.models import ConfigurationChange, Operation, VirtualMachine

pytestmark = pytest.mark.browser

GIB = 1 << 30


def type_into(page: Page, label: str, text: str) -> None:
    """Reach a field with Tab alone, and type over what is in it."""
    wanted = page.get_by_label(label, exact=True)
    for _ in range(40):
        if wanted.evaluate("each => each === document.activeElement"):
            break
        page.keyboard.press("Tab")
    expect(wanted).to_be_focused()
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.type(text)


def press(page: Page, element_id: str) -> None:
    """Reach a control with Tab alone, and press it."""
    wanted = page.locator(f"#{element_id}")
    for _ in range(60):
        if wanted.evaluate("each => each === document.activeElement"):
            break
        page.keyboard.press("Tab")
    expect(wanted).to_be_focused()
    page.keyboard.press("Enter")


@pytest.mark.behaviour(10)
@pytest.mark.behaviour(11)
def test_from_edit_to_the_badge_to_reboot_now(open_page: OpenPage, admin: User, vm: VirtualMachine) -> None:
    page = open_page(admin)
    row = page.locator(f"#vm_row_{vm.pk}")
    expect(row).not_to_contain_text("change")
    ask(page, vm, "edit")
    page.get_by_label("Memory").fill("8 GiB")
    page.get_by_label("Boot order").select_option("CD, Hard disk")
    page.get_by_label("CD image").fill("/isos/debian.iso")
    page.get_by_role("button", name="Save").click()
    dialog = page.get_by_role("dialog", name="Pending changes of web01")
    expect(dialog).to_contain_text("web01 was saved. 3 changes wait for the next cold start.")
    expect(row).to_contain_text("3 changes")
    expect(row).to_contain_text("being stored")
    page.get_by_role("button", name="Revert CD image").click()
    expect(page.get_by_role("button", name="Revert CD image")).to_have_count(0)
    expect(row).to_contain_text("2 changes")
    page.get_by_role("button", name="Reboot now").click()
    confirm = page.get_by_role("dialog", name="Reboot web01?")
    expect(confirm).to_contain_text("will be powered off")
    expect(confirm).to_contain_text("because changes must be applied")
    expect(confirm.get_by_role("table", name="Changes")).to_contain_text("8 GiB")
    page.get_by_text("Options").click()
    page.get_by_label("If the guest does not shut down in time").select_option("no")
    expect(confirm).to_contain_text("they go on waiting")
    page.get_by_label("If the guest does not shut down in time").select_option("")
    expect(confirm).to_contain_text("because changes must be applied")
    page.locator("#vm_action_confirm").click()
    expect(row).to_contain_text("Rebooting")
    expect(page.locator("#dialog")).to_be_hidden()
    operation = Operation.objects.get()
    assert (operation.force, operation.force_origin) == (True, "pending_changes")
    assert [change["part"] for change in operation.plan["changes"]] == ["memory", "boot"]


def test_the_badge_opens_the_list_which_follows_what_becomes_of_them(
    open_page: OpenPage, admin: User, make_vm: MakeVm
) -> None:
    vm = make_vm(**pending(memory=8 * GIB, vcpus=4))
    page = open_page(admin)
    page.locator(f"#vm_pending_{vm.pk}").click()
    dialog = page.get_by_role("dialog", name="Pending changes of web01")
    expect(dialog.get_by_role("table", name="Changes")).to_contain_text("8 GiB")
    VirtualMachine.objects.filter(pk=vm.pk).update(**pending(vcpus=4))
    expect(dialog).not_to_contain_text("8 GiB")
    expect(dialog.get_by_role("button", name="Revert Virtual CPUs")).to_be_visible()
    VirtualMachine.objects.filter(pk=vm.pk).update(**pending())
    expect(dialog).to_contain_text("Nothing waits")
    page.keyboard.press("Escape")
    expect(page.locator(f"#vm_pending_{vm.pk}")).to_have_count(0)


def test_a_mistake_is_told_at_its_field_and_what_was_typed_stays(
    open_page: OpenPage, admin: User, vm: VirtualMachine
) -> None:
    page = open_page(admin)
    ask(page, vm, "edit")
    page.get_by_label("Description").fill("The shop")
    page.get_by_label("Memory").fill("2 GB")
    page.get_by_role("button", name="Save").click()
    expect(page.locator("[data-error-summary]")).to_be_focused()
    expect(page.locator("#id_memory_error")).to_contain_text("Enter memory such as 2 GiB")
    expect(page.get_by_label("Memory")).to_have_value("2 GB")
    expect(page.get_by_label("Description")).to_have_value("The shop")
    assert not ConfigurationChange.objects.exists()
    page.get_by_label("Memory").fill("2 GiB")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("dialog", name="Pending changes of web01")).to_be_visible()
    assert ConfigurationChange.objects.get().values == {"memory": 2 * GIB, "description": "The shop"}


def test_run_once_from_the_toolbar(open_page: OpenPage, operator: User, make_vm: MakeVm) -> None:
    vm = make_vm("legacy", VmStatus.DOWN)
    page = open_page(operator)
    page.get_by_role("checkbox", name="legacy", exact=True).check()
    expect(page.locator("#vm_toolbar_count")).to_have_text("1 selected")
    page.get_by_role("button", name="Other ways to run the selected virtual machine").click()
    page.get_by_role("menuitem", name="Run once…").click()
    dialog = page.get_by_role("dialog", name="Run legacy once")
    plan, confirm = page.locator("#vm_action_plan"), page.locator("#vm_action_confirm")
    expect(plan).to_contain_text("Start the VM")
    page.get_by_label("Boot from").select_option("CD")
    page.get_by_label("CD image").fill("rescue.iso")
    expect(plan).to_contain_text("Enter the absolute path")
    expect(confirm).to_be_disabled()
    page.get_by_label("CD image").fill("/isos/rescue.iso")
    page.get_by_label("Start paused").check()
    page.get_by_label("Stateless").check()
    expect(plan).to_contain_text("For this run only")
    expect(plan).to_contain_text("is dropped when it ends")
    confirm.click()
    expect(page.locator(f"#vm_row_{vm.pk}")).to_contain_text("Waiting for launch")
    expect(dialog).to_be_hidden()
    assert Operation.objects.get().run_options == RunOptions(
        boot=BootDevice.CD, cd_image="/isos/rescue.iso", paused=True, stateless=True
    )


def test_edit_and_run_once_go_by_keyboard_alone(open_page: OpenPage, admin: User, make_vm: MakeVm) -> None:
    vm = make_vm("legacy", VmStatus.DOWN)
    page = open_page(admin)
    page.locator(f"#vm_select_{vm.pk}").focus()
    page.keyboard.press("Shift+F10")
    expect(page.locator("#vm_menu_run")).to_be_focused()
    page.keyboard.type("edit")
    expect(page.locator("#vm_menu_edit")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog", name="Edit legacy")).to_be_visible()
    type_into(page, "Memory", "8 GiB")
    press(page, "vm_edit_save")
    expect(page.locator("#dialog")).to_be_hidden()
    expect(page.locator(f"#vm_select_{vm.pk}")).to_be_focused()
    assert ConfigurationChange.objects.get().values == {"memory": 8 * GIB}
    page.keyboard.press("Shift+F10")
    expect(page.locator("#vm_menu_run")).to_be_focused()
    page.keyboard.press("ArrowDown")
    expect(page.locator("#vm_menu_run_once")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog", name="Run legacy once")).to_be_visible()
    type_into(page, "Virtual CPUs", "1")
    page.keyboard.press("Enter")  # in a field, it confirms nothing
    expect(page.locator("#vm_action_plan")).to_contain_text("For this run only")
    assert not Operation.objects.exists()
    press(page, "vm_action_confirm")
    expect(page.locator(f"#vm_row_{vm.pk}")).to_contain_text("Waiting for launch")
    assert Operation.objects.get().run_options == RunOptions(vcpus=1)
