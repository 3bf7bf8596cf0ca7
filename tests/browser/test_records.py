"""The record of an operation on its page, and what was learned of a VM where its delay is typed."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Page, expect

from tests.browser.conftest import CheckAccessibility, OpenPage
from tests.support.scene import MakeOperation, MakeVm
from vms.domain.observation import Proof
from vms.domain.operation import Outcome, StepKind
from vms.hypervisor import png
from vms.models import Operation, OperationScreen, VirtualMachine

pytestmark = pytest.mark.browser

WIDTH, HEIGHT = 720, 400


@pytest.fixture
def recorded(make_vm: MakeVm, make_operation: MakeOperation) -> Operation:
    """A forced reboot with all that is kept of one."""
    operation = make_operation(make_vm(), outcome=Outcome.FORCED, force=True, reason="new kernel")
    assert operation.asked_at is not None
    operation.went_down_at = operation.asked_at + timedelta(seconds=60.2)
    operation.started_at = operation.went_down_at + timedelta(seconds=0.4)
    operation.returned_at = operation.ended_at = operation.started_at + timedelta(seconds=3.1)
    operation.proof = Proof.AGENT
    operation.plan["subject"] = {
        "name": "web01",
        "host": "kvm1",
        "status": "up",
        "up_since": (operation.created_at - timedelta(days=12)).isoformat(),
    }
    operation.save()
    calls = (StepKind.PREPARE, 0), (StepKind.ASK_AGENT, 1), (StepKind.SCREENSHOT, 61), (StepKind.DESTROY, 61.1)
    for number, (kind, seconds) in enumerate(calls, start=1):
        at = operation.created_at + timedelta(seconds=seconds)
        operation.steps.create(number=number, kind=kind, at=at, answered_at=at, ok=True)
    stripes = b"".join(bytes((0, 0, 60 + row // 4)) * WIDTH for row in range(HEIGHT))
    picture = png.write(WIDTH, HEIGHT, stripes)
    OperationScreen.objects.create(
        operation=operation, taken_at=at, width=WIDTH, height=HEIGHT, size=len(picture), png=picture
    )
    return operation


@pytest.mark.behaviour(31, 35)
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 400])
def test_the_record_is_shown_whole(
    open_page: OpenPage,
    viewer: User,
    recorded: Operation,
    check_accessibility: CheckAccessibility,
    scheme: str,
    width: int,
) -> None:
    page = open_page(viewer, recorded.get_absolute_url(), scheme=scheme, width=width)
    picture = page.get_by_role("img", name=re.compile("Screen of web01 at .*, just before the power-off"))
    expect(picture).to_be_visible()
    assert picture.evaluate("image => image.complete && image.naturalWidth") == WIDTH
    box = picture.bounding_box()
    assert box is not None
    assert box["x"] + box["width"] <= width
    assert abs(box["width"] / box["height"] - WIDTH / HEIGHT) < 0.05
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    expect(page.locator(".portal-facts")).to_contain_text("Its guest agent is connected")
    expect(page.locator("main")).to_contain_text("web01 on kvm1, Up for 12 d")
    check_accessibility(page)


def test_the_record_is_printed_in_black_on_white_with_all_steps_and_nothing_to_press(
    open_page: OpenPage, operator: User, recorded: Operation
) -> None:
    page = open_page(operator, recorded.get_absolute_url(), scheme="dark")
    expect(page.locator("html")).to_have_class("pf-v6-theme-dark")
    page.emulate_media(media="print")
    for element in page.locator("button, nav, header.portal-masthead").all():
        expect(element).to_be_hidden()
    steps = page.locator(".portal-timeline__step")
    expect(steps).to_have_count(recorded.steps.count() + 1)  # and the end
    colours = "each => [each.checkVisibility(), getComputedStyle(each).color, getComputedStyle(each).backgroundColor]"
    black_on_nothing = [True, "rgb(0, 0, 0)", "rgba(0, 0, 0, 0)"]
    for element in (*steps.all(), page.locator("h1"), page.locator("body")):
        assert element.evaluate(colours) == black_on_nothing
    paper = "each => [getComputedStyle(each).colorScheme, getComputedStyle(each).backgroundColor]"
    assert page.locator("html").evaluate(paper) == ["light only", "rgb(255, 255, 255)"]
    # Nothing is cut off by a frame that could be scrolled on a screen.
    page_height, main_height = page.evaluate(
        "[document.documentElement.scrollHeight, document.querySelector('#main').scrollHeight]"
    )
    assert page_height >= main_height


@pytest.fixture
def slow(make_vm: MakeVm, make_operation: MakeOperation) -> VirtualMachine:
    """A VM that took 9, 14 and 31 s to shut down."""
    vm = make_vm()
    for seconds in (9, 14, 31):
        operation = make_operation(vm, outcome=Outcome.CLEAN_AGENT)
        assert operation.asked_at is not None
        Operation.objects.filter(pk=operation.pk).update(
            went_down_at=operation.asked_at + timedelta(seconds=seconds),
            started_at=operation.asked_at,
            returned_at=operation.asked_at + timedelta(seconds=3),
            proof=Proof.AGENT,
        )
    return vm


def open_dialog(page: Page, vm: VirtualMachine, control: str) -> None:
    """Select a VM and open a dialog from the toolbar."""
    page.get_by_role("checkbox", name=vm.name, exact=True).check()
    page.locator(f"#vm_toolbar_{control}").click()
    expect(page.locator("#dialog")).to_be_visible()


@pytest.mark.behaviour(35)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_dialog_warns_while_a_delay_is_typed(
    open_page: OpenPage, admin: User, slow: VirtualMachine, check_accessibility: CheckAccessibility, scheme: str
) -> None:
    page = open_page(admin, scheme=scheme)
    open_dialog(page, slow, "edit")
    learned, delay = page.locator("#vm_learned"), page.get_by_label("Graceful power-down delay")
    expect(learned).to_contain_text("Its last 3 clean shutdowns took 14 s (median), 31 s at most.")
    expect(learned).not_to_contain_text("enough")
    delay.fill("20")
    expect(learned).to_contain_text("A delay of 20 s is shorter than its slowest shutdown took (31 s)")
    delay.fill("10")
    expect(learned).to_contain_text("it is probably not enough")
    expect(delay).to_be_focused()
    check_accessibility(page)
    page.get_by_label("Use the portal default: 60 s").check()
    expect(learned).not_to_contain_text("enough")
    page.locator("#vm_edit_save").click()
    expect(page.locator("#dialog")).to_be_hidden()


@pytest.mark.behaviour(35)
def test_the_confirmation_warns_while_a_delay_is_typed(
    open_page: OpenPage, admin: User, slow: VirtualMachine, check_accessibility: CheckAccessibility
) -> None:
    page = open_page(admin)
    open_dialog(page, slow, "reboot")
    plan = page.locator("#vm_action_plan")
    expect(plan).to_contain_text("Its last 3 clean shutdowns took 14 s (median), 31 s at most.")
    page.get_by_text("Options").click()
    page.get_by_label("Seconds to wait, this time").fill("10")
    expect(plan).to_contain_text("it is probably not enough")
    check_accessibility(page)
