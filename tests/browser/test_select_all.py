"""Selecting all that the filter finds, and the strip below, which fits."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import expect

from tests.browser.conftest import CheckAccessibility, OpenPage
from tests.support.scene import MakeOperation, MakeVm
from vms.domain.operation import Outcome
from vms.domain.power import VmStatus
from vms.models import Operation, Tag

pytestmark = pytest.mark.browser


def test_all_that_match_are_selected_and_acted_upon(
    open_page: OpenPage, operator: User, make_vm: MakeVm, check_accessibility: CheckAccessibility
) -> None:
    production = Tag.objects.create(name="production", reason_required=True)
    make_vm("db01").tags.add(production)
    for number in range(55):
        make_vm(f"web{number:02}").tags.add(production)
    page = open_page(operator)
    page.locator(".portal-tag").first.click()
    page.locator("#vm_filter_text").fill("tag=production web*")
    page.locator("#vm_filter_text").press("Enter")
    expect(page.locator("#vm_found")).to_contain_text("55 of 56 match")
    page.get_by_label("Select all on this page").check()
    expect(page.locator("#vm_toolbar_count")).to_have_text("50 selected")
    page.get_by_role("button", name="Select all 55 that match").click()
    expect(page.locator("#vm_toolbar_count")).to_have_text("All 55 that match are selected")
    expect(page.locator("#vm_select_all")).to_be_focused()
    check_accessibility(page)
    # Taking one out leaves those of the page.
    page.get_by_role("checkbox", name="web03", exact=True).uncheck()
    expect(page.locator("#vm_toolbar_count")).to_have_text("49 selected")
    page.get_by_label("Select all on this page").check()
    page.get_by_role("button", name="Select all 55 that match").click()
    page.locator("#vm_toolbar_reboot").click()
    dialog = page.get_by_role("dialog", name="Reboot 55 virtual machines?")
    expect(dialog).to_contain_text("Required by the tag “production”.")
    check_accessibility(page)
    page.locator("#vm_action_options summary").click()
    page.get_by_label("Seconds to wait, this time").fill("20")
    expect(dialog).to_contain_text("0:20 give up")
    page.locator("#vm_action_confirm").click()
    expect(page.locator("[data-error-summary]")).to_contain_text("Say why")
    page.get_by_label("Reason").fill("new kernel")
    page.locator("#vm_action_confirm").click()
    expect(page.get_by_role("region", name="Notifications")).to_contain_text(
        "Reboot of 55 virtual machines was accepted. 45 of them queue"
    )
    assert Operation.objects.filter(reason="new kernel", delay=20).count() == 55


@pytest.mark.parametrize("width", [1280, 400])
def test_the_strip_fits_with_its_buttons_in_one_line(
    open_page: OpenPage, operator: User, make_vm: MakeVm, make_operation: MakeOperation, width: int
) -> None:
    make_operation(make_vm("a-rather-long-name-of-a-vm", VmStatus.REBOOT_IN_PROGRESS))
    make_operation(make_vm("done"), outcome=Outcome.FORCED)
    page = open_page(operator, width=width)
    strip = page.locator("#operation_strip")
    expect(strip).to_contain_text("done Reboot")
    tops = [
        (strip.get_by_role("button", name=name).bounding_box() or {"y": -1})["y"]
        for name in ("Force now", "Extend +60 s", "Cancel")
    ]
    assert len({round(top) for top in tops}) == 1
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate(
        "(({scrollWidth, clientWidth}) => scrollWidth <= clientWidth)(document.getElementById('operation_strip'))"
    )
