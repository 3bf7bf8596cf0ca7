"""The Account page and the removal of a VM in a browser: with the keyboard alone, in both themes and narrow."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import expect

from tests.browser.conftest import CheckAccessibility, OpenPage
from tests.support.scene import MakeVm
from vms.domain.disks import Disk, Kept
from vms.domain.operation import Outcome
from vms.domain.power import VmStatus
from vms.models import Operation, Subscription, Tag, VirtualMachine

pytestmark = pytest.mark.browser

DISKS = [
    Disk("vda", "/var/lib/libvirt/images/legacy-system.qcow2"),
    Disk("vdb", "/var/lib/libvirt/images/a-long-name-for-the-data-of-legacy.example.org.qcow2"),
    Disk("hda", "/iso/debian-12.iso", Kept.MEDIUM),
]


@pytest.fixture
def down(make_vm: MakeVm) -> VirtualMachine:
    """A VM that is down, with disks."""
    return make_vm("legacy", VmStatus.DOWN, disks=[disk.as_json() for disk in DISKS])


def test_notices_are_chosen_with_the_keyboard(open_page: OpenPage, viewer: User, down: VirtualMachine) -> None:
    down.tags.add(Tag.objects.create(name="production"))
    page = open_page(viewer)
    page.get_by_role("button", name="vera").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Account", level=1)).to_be_visible()
    page.get_by_label("E-mail address").focus()
    page.keyboard.type("vera@example.org")
    page.get_by_label("production: Gave up").focus()
    page.keyboard.press("Space")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Your notices were saved.")).to_be_visible()
    wish = Subscription.objects.get(user=viewer)
    assert (wish.outcome, wish.tag) == (Outcome.GAVE_UP, Tag.objects.get())


def test_a_vm_is_removed_from_its_menu_with_one_of_its_disks(
    open_page: OpenPage, admin: User, down: VirtualMachine, check_accessibility: CheckAccessibility
) -> None:
    page = open_page(admin)
    page.locator(f"#vm_more_{down.pk}").click()
    page.locator("#vm_menu_remove").click()
    dialog = page.get_by_role("dialog", name="Remove legacy?")
    expect(dialog).to_contain_text("Its disks are kept")
    check_accessibility(page)
    page.get_by_label("vdb: ").check()
    expect(dialog.locator("#vm_action_plan")).to_contain_text("Remove the chosen disks; what is on them is lost")
    page.get_by_label("Reason").press("Enter")
    expect(dialog).to_be_visible()  # Enter confirms on the button only
    assert not Operation.objects.exists()
    page.locator("#vm_action_confirm").click()
    expect(page.locator(f"#vm_row_{down.pk}")).to_contain_text("Removing")
    assert Operation.objects.get().disks == [DISKS[1].source]


def test_one_that_is_gone_leaves_the_list(open_page: OpenPage, admin: User, make_vm: MakeVm) -> None:
    vm = make_vm("old", VmStatus.GONE)
    make_vm("web01")
    page = open_page(admin)
    page.locator(f"#vm_more_{vm.pk}").click()
    page.locator("#vm_menu_remove").click()
    expect(page.get_by_role("dialog", name="Remove old?")).to_contain_text("Take it off the portal's list")
    page.locator("#vm_action_confirm").click()
    expect(page.locator(f"#vm_row_{vm.pk}")).to_have_count(0)
