"""The page of a VM in a browser: charts, screen, live parts, controls, and that nothing in it is forbidden."""

from __future__ import annotations

import math
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from playwright.sync_api import expect

from tests.browser.conftest import CheckAccessibility, OpenPage
from tests.support.scene import MakeOperation, MakeVm, pending
from vms.domain.operation import Outcome, StepKind
from vms.domain.power import VmStatus
from vms.hypervisor import png
from vms.models import Event, Glimpse, Operation, Sample, Tag, VirtualMachine

pytestmark = pytest.mark.browser

WIDTH, HEIGHT = 720, 400


@pytest.fixture
def busy(make_vm: MakeVm, make_operation: MakeOperation) -> VirtualMachine:
    """A VM with a past, a screen, changes that wait, and samples of a quarter of an hour."""
    vm = make_vm(description="The shop’s web server.", graceful_delay=90, **pending(memory=8 << 30))
    vm.tags.add(Tag.objects.create(name="shop"))
    now = timezone.now()
    Sample.objects.bulk_create(
        Sample(
            vm=vm,
            at=now - timedelta(seconds=10 * number),
            resolution=10,
            cpu=0.4 + 0.3 * math.sin(number / 8),
            memory=4 << 30,
            memory_used=(2 << 30) + number * (8 << 20),
            disk_read=400_000 + 300_000 * math.sin(number / 5),
            disk_written=90_000,
            net_received=50_000 + 40_000 * math.cos(number / 6),
            net_sent=20_000,
        )
        for number in range(88)
    )
    stripes = b"".join(bytes((0, 0, 60 + row // 4)) * WIDTH for row in range(HEIGHT))
    Glimpse.objects.create(
        vm=vm,
        kind=Glimpse.Kind.SCREEN,
        taken_at=now,
        waits=False,
        width=WIDTH,
        height=HEIGHT,
        png=png.write(WIDTH, HEIGHT, stripes),
    )
    facts = {"system": "Debian GNU/Linux 12 (bookworm)", "addresses": ["192.0.2.7", "2001:db8::7"]}
    Glimpse.objects.create(vm=vm, kind=Glimpse.Kind.GUEST, taken_at=now, waits=False, facts=facts)
    text = f"<domain type='kvm'>\n  <name>{vm.name}</name>\n</domain>\n"
    Glimpse.objects.create(vm=vm, kind=Glimpse.Kind.DEFINITION, taken_at=now, waits=False, text=text)
    operation = make_operation(vm, outcome=Outcome.FORCED, force=True, reason="new kernel")
    for number, kind in enumerate((StepKind.PREPARE, StepKind.ASK_AGENT, StepKind.DESTROY, StepKind.START), start=1):
        at = operation.created_at + timedelta(seconds=number)
        operation.steps.create(number=number, kind=kind, at=at, answered_at=at, ok=True)
    Event.objects.create(code=61, message=f"{vm.name} went down.", vm=vm, operation=operation)
    return vm


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 400)])
def test_every_tab_is_shown_whole(
    open_page: OpenPage,
    admin: User,
    busy: VirtualMachine,
    check_accessibility: CheckAccessibility,
    scheme: str,
    width: int,
) -> None:
    page = open_page(admin, busy.get_absolute_url(), scheme=scheme, width=width)
    expect(page.locator("#vm_charts canvas")).to_have_count(4)
    expect(page.locator("#vm_charts canvas").first).to_be_visible()
    picture = page.locator("#vm_screen img")
    assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") == WIDTH
    expect(page.locator("#vm_usage")).to_contain_text("40 %")
    expect(page.locator("#vm_guest")).to_contain_text("192.0.2.7")
    for name in ("overview", "operations", "pending", "events", "permissions", "definition"):
        page.locator(f"#vm_tab_{name}").click()
        expect(page.locator(f"#vm_tab_{name}")).to_have_attribute("aria-current", "page")
        if name == "operations":
            page.locator(".portal-record summary").first.click()
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), name
        check_accessibility(page)


def test_the_page_follows_its_vm_and_keeps_focus(open_page: OpenPage, admin: User, busy: VirtualMachine) -> None:
    page = open_page(admin, busy.get_absolute_url())
    page.locator("#vm_toolbar_shut_down").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#dialog-title")).to_contain_text("web01")
    page.locator("#dialog").get_by_role("button", name="Shut down").click()
    expect(page.locator("#vm_header_running")).to_be_visible()
    expect(page.locator("#vm_toolbar_shut_down")).to_be_focused()
    expect(page.locator("#vm_toolbar_shut_down")).to_have_attribute("aria-disabled", "true")
    Operation.objects.filter(vm=busy).active().update(
        stage="ended", outcome=Outcome.DONE, ended_at=timezone.now(), deadline_at=None
    )
    VirtualMachine.objects.filter(pk=busy.pk).update(status=VmStatus.DOWN, running_since=None, agent_connected=False)
    expect(page.locator("#vm_header")).to_contain_text("Down")
    expect(page.locator("#vm_screen")).to_contain_text("does not run")
    expect(page.locator("#vm_toolbar_shut_down")).to_be_focused()


def test_a_definition_is_copied(open_page: OpenPage, viewer: User, busy: VirtualMachine) -> None:
    page = open_page(viewer, f"{busy.get_absolute_url()}definition/")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy").click()
    expect(page.locator("#toasts")).to_contain_text("Copied.")
    assert page.evaluate("navigator.clipboard.readText()") == page.locator("#vm_definition_xml").text_content()
