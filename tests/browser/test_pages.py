"""The pages beside the list: operations, events, hosts, the portal's defaults."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from playwright.sync_api import expect

from tests.browser.conftest import OpenPage
from tests.support.scene import MakeOperation, MakeVm
from vms.domain.operation import Outcome, Stage
from vms.domain.power import VmStatus
from vms.models import Operation

pytestmark = pytest.mark.browser


def test_an_operations_page_follows_it_to_its_end(
    open_page: OpenPage, operator: User, make_vm: MakeVm, make_operation: MakeOperation
) -> None:
    operation = make_operation(make_vm("db01", VmStatus.REBOOT_IN_PROGRESS))
    page = open_page(operator)
    page.get_by_role("link", name="db01 Reboot").click()
    expect(page.get_by_role("heading", name="Reboot of db01")).to_be_visible()
    expect(page.locator("#operation_running")).to_contain_text("give up in 0:")
    page.get_by_role("button", name="Force now").click()
    expect(page.locator("#operation_timeline")).to_contain_text("Force now")
    Operation.objects.filter(pk=operation.pk).update(
        stage=Stage.ENDED, outcome=Outcome.FORCED, ended_at=timezone.now(), wake_at=None
    )
    expect(page.locator("#operation_heading")).to_contain_text("Forced")
    expect(page.get_by_role("button", name="Force now")).to_have_count(0)
    expect(page.locator("#operation_progress[data-live]")).to_have_count(0)  # nothing more to follow
