"""The page of hosts: adding one after a test of its connection, editing, removing; by mouse and keyboard."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.urls import reverse
from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenPage
from tests.support.scene import MakeVm
from tests.support.waiting import wait_until
from vms.models import Host, HostCheck

pytestmark = [pytest.mark.browser, pytest.mark.behaviour(29)]

State = HostCheck.State
URI = "qemu+ssh://root@kvm2.example.org/system"
REFUSED = "Cannot recv data: root@kvm2.example.org: Permission denied (publickey).: Connection reset by peer"


def ask_for_test(page: Page) -> HostCheck:
    """Fill the form in and have the connection tested; nobody carries the test out."""
    page.get_by_role("link", name="Add host").click()
    expect(page.get_by_label("Name")).to_be_focused()
    page.get_by_label("Name").fill("kvm2")
    page.get_by_label("Connection URI").fill(URI)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Connection to kvm2")).to_be_visible()
    return wait_until(HostCheck.objects.first, "the test is asked for")


def test_a_host_is_added_once_its_test_has_passed(open_page: OpenPage, admin: User, host: Host) -> None:
    page = open_page(admin, reverse("host_list"))
    check = ask_for_test(page)
    expect(page.get_by_text("Connecting.")).to_be_visible()
    HostCheck.objects.filter(pk=check.pk).update(
        state=State.PASSED, hostname="kvm2.example.org", version="QEMU 7.2.0, libvirt 9.0.0", vm_count=12
    )
    expect(page.get_by_text("The connection works.")).to_be_visible()
    expect(page.locator("#host_check")).to_contain_text("QEMU 7.2.0")
    page.get_by_role("button", name="Add host").click()
    expect(page.locator("#host_table")).to_contain_text(URI)
    expect(page.locator("#dialog")).not_to_be_visible()
    assert Host.objects.filter(uri=URI).exists()


def test_a_test_that_failed_says_what_to_do_and_leads_back_to_what_was_typed(open_page: OpenPage, admin: User) -> None:
    page = open_page(admin, reverse("host_list"))
    check = ask_for_test(page)
    HostCheck.objects.filter(pk=check.pk).update(state=State.FAILED, error=REFUSED)
    expect(page.locator("#host_check")).to_contain_text("refused the SSH key")
    page.get_by_role("link", name="Back").click()
    expect(page.get_by_label("Connection URI")).to_have_value(URI)
    page.get_by_label("Connection URI").fill("qemu+ext:///system")
    page.get_by_role("button", name="Test connection").click()
    expect(page.locator("[data-error-summary]")).to_be_focused()
    expect(page.get_by_label("Connection URI")).to_have_value("qemu+ext:///system")


def test_a_host_is_renamed_and_removed(open_page: OpenPage, admin: User, host: Host, make_vm: MakeVm) -> None:
    make_vm()
    page = open_page(admin, reverse("host_list"))
    page.get_by_role("link", name="Edit kvm1").click()
    page.get_by_label("Name").fill("cellar")
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#host_table")).to_contain_text("cellar")
    page.get_by_role("link", name="Remove cellar").click()
    expect(page.locator("#dialog")).to_contain_text("its 1 virtual machine no more")
    page.get_by_role("button", name="Remove host").click()
    expect(page.locator("#host_table")).to_contain_text("No host yet")
