"""The whole main job in a real browser with nothing but a keyboard, on the portal's own processes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.acceptance.instance import PASSWORD, Instance, ended, vm, wait_status
from tests.support import chromium as browsers
from tests.support.fake import FakeDaemon
from vms.domain.operation import Outcome
from vms.hypervisor.fake import STUBBORN
from vms.models import Operation

pytestmark = pytest.mark.browser


@pytest.fixture
def chromium() -> Iterator[Browser]:
    """Debian's Chromium."""
    with browsers.chromium() as browser:
        yield browser


def tab_to(page: Page, name: str) -> None:
    """Press Tab until the control with this id has the keyboard."""
    tab_to_element(page, f"document.activeElement.id == '{name}'")


def tab_to_element(page: Page, there: str, most: int = 60) -> None:
    """Press Tab until an expression says that the keyboard is where it is wanted."""
    for _ in range(most):
        if page.evaluate(there):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"{most} times Tab did not lead where {there}")


def log_in(page: Page) -> None:
    """Log in, and come to the list."""
    page.goto("/")
    tab_to(page, "id_username")
    page.keyboard.type("admin")
    tab_to(page, "id_password")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.locator("#vm_table")).to_be_visible()


def ask_for_a_forced_reboot(page: Page, reason: str) -> None:
    """Fill the dialog that is open: the reason, and to power off after two seconds; and confirm."""
    keys = page.keyboard
    tab_to(page, "id_reason")
    keys.type(reason)
    tab_to_element(page, "document.activeElement.localName == 'summary'")
    keys.press("Enter")
    tab_to(page, "id_force")
    keys.press("P")  # Power off, this time
    tab_to(page, "id_graceful_delay")
    keys.type("2")
    expect(page.locator("#vm_action_plan")).to_contain_text("Power the VM off")
    tab_to(page, "vm_action_confirm")
    keys.press("Enter")
    expect(page.locator("#dialog")).to_be_hidden()


@pytest.mark.behaviour(3, 31)
def test_from_login_to_a_forced_reboot_with_a_reason_and_back_by_keyboard_alone(
    portal: Instance, fake_host: FakeDaemon, chromium: Browser
) -> None:
    machines = {name: fake_host.control.define(name, STUBBORN) for name in ("keys-web", "keys-db")}
    for name in machines:
        wait_status(vm(name), "up")
    machine = vm("keys-web")
    expect.set_options(timeout=15_000)
    page = chromium.new_page(base_url=portal.url, viewport={"width": 1280, "height": 860}, reduced_motion="reduce")
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    keys = page.keyboard
    log_in(page)

    keys.press("/")
    keys.type("name=keys-w*")
    keys.press("Enter")
    expect(page.locator("#vm_found")).to_contain_text("1 of 2 matches")
    for key in ("j", "x"):
        keys.press(key)
    expect(page.locator("#vm_toolbar_count")).to_have_text("1 selected")
    keys.press("r")
    expect(page.get_by_role("dialog", name="Reboot keys-web?")).to_be_visible()
    ask_for_a_forced_reboot(page, "it hangs")
    expect(page.locator(f"#vm_select_{machine.pk}")).to_be_focused()

    # Its own page, from the strip, to its end.
    operation = Operation.objects.get(vm=machine)
    link = page.locator(f"#operation_strip_link_{operation.pk}")
    expect(link).to_be_visible()
    tab_to(page, f"operation_strip_link_{operation.pk}")
    keys.press("Enter")
    expect(page.locator("#operation_heading")).to_contain_text("Forced")
    expect(page.locator("#operation_progress")).to_contain_text("it hangs")
    operation = ended(operation.pk)
    assert (operation.outcome, operation.reason) == (Outcome.FORCED, "it hangs")

    # And back, to the same view of the list and the control that was left. Alt+Left is the browser's own key, which a
    # browser that is driven does not take.
    wait_status(machine, "up")
    page.go_back()
    expect(page.locator("#vm_found")).to_contain_text("1 of 2 matches")
    expect(page.locator(f"#vm_row_{machine.pk} .portal-status")).to_have_text("Up")
    expect(link).to_be_focused()
    keys.press("j")
    expect(page.locator(f"#vm_select_{machine.pk}")).to_be_focused()
    log = fake_host.control.log(names=["destroy", "start"], call=True, effect=True)
    assert [(entry.uuid, entry.name) for entry in log] == [
        (machines["keys-web"], name) for name in ("destroy", "start")
    ]
    assert said == []
