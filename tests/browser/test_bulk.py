"""Several VMs at once: what queues says so, can be cancelled where it is seen, and is followed on one page."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenPage
from tests.support.scene import MakeVm
from vms.domain.operation import Outcome, Stage
from vms.models import Operation, PortalDefaults, VirtualMachine

pytestmark = pytest.mark.browser


@pytest.fixture
def vms(make_vm: MakeVm) -> list[VirtualMachine]:
    """Five VMs that are Up, and a cap of two."""
    PortalDefaults.objects.create(id=1, bulk_in_flight=2)
    return [make_vm(f"web{number}") for number in range(5)]


def reboot_all(page: Page) -> None:
    """Select every VM of the list and confirm a reboot."""
    page.get_by_label("Select all on this page").check()
    page.locator("#vm_toolbar_reboot:not([aria-disabled])").click()
    expect(page.locator("#vm_action_queue")).to_contain_text("At most 2 at a time. The other 3 queue")
    page.locator("#vm_action_confirm").click()


@pytest.mark.behaviour(33)
def test_what_queues_is_marked_and_taken_off_the_queue_in_its_row_or_all_at_once(
    open_page: OpenPage, operator: User, vms: Sequence[VirtualMachine]
) -> None:
    page = open_page(operator)
    reboot_all(page)
    expect(page.get_by_text("Reboot: queued")).to_have_count(3)
    expect(page.locator(f"#vm_row_{vms[0].pk}")).to_contain_text("Rebooting")
    expect(page.locator(f"#vm_row_{vms[2].pk}")).to_contain_text("Up")
    expect(page.locator("#operation_strip")).to_contain_text("0 of 5 ended, 2 in flight, 3 queued")
    page.get_by_role("button", name="Cancel the queued Reboot of web3").click()
    expect(page.locator(f"#vm_row_{vms[3].pk}")).to_contain_text("Reboot was cancelled")
    page.get_by_role("button", name="Cancel the 2 that queue").click()
    expect(page.get_by_text("Reboot: queued")).to_have_count(0)
    assert Operation.objects.filter(outcome=Outcome.CANCELLED).count() == 3
    assert Operation.objects.in_flight().count() == 2


@pytest.mark.behaviour(33)
def test_its_page_follows_it_to_its_end(open_page: OpenPage, operator: User, vms: Sequence[VirtualMachine]) -> None:
    page = open_page(operator)
    reboot_all(page)
    page.get_by_role("link", name="Reboot of 5 virtual machines").click()
    expect(page.locator("#bulk_counts")).to_have_text("0 of 5 ended, 2 in flight, 3 queued")
    ended = {"stage": Stage.ENDED, "outcome": Outcome.CLEAN_AGENT, "ended_at": timezone.now(), "wake_at": None}
    Operation.objects.in_flight().update(**ended)
    expect(page.locator("#bulk_counts")).to_have_text("2 of 5 ended, 3 queued")
    Operation.objects.queued().update(**ended, left_queue_at=timezone.now())
    expect(page.locator("#bulk_counts")).to_have_text("5 of 5 ended")
    expect(page.locator("#bulk_progress[data-live]")).to_have_count(0)  # nothing more to follow
