"""An open page while what it hears by is killed: it catches up by itself, and nothing done to it is lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import BrowserContext, Locator, Page, expect

from tests.acceptance.instance import PASSWORD, Instance, vm, wait_status
from tests.support import chromium as browsers
from tests.support.fake import FakeDaemon
from vms.hypervisor.fake import OBEDIENT

#: As many tabs as a browser has no connections for: HTTP/1.1 gives a host six.
TABS = 7
#: Milliseconds: web and Redis are restarted within seconds, on a machine that does other things, too.
PATIENCE = 60_000


@pytest.fixture(scope="module")
def browsing(portal: Instance) -> Iterator[BrowserContext]:
    """A browser in which the administrator has logged in."""
    with browsers.chromium() as browser:
        context = browser.new_context(base_url=portal.url)
        context.set_default_timeout(PATIENCE)
        expect.set_options(timeout=PATIENCE)
        page = context.new_page()
        page.goto("/")
        page.get_by_label("Username").fill("admin")
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Log in").click()
        expect(page.locator("#main h1")).to_be_visible()
        page.close()
        yield context


@pytest.fixture(scope="module")
def uuids(portal: Instance, fake_host: FakeDaemon) -> dict[str, str]:
    """Two VMs by their names: one that changes, and one about which somebody types."""
    found = {
        name: fake_host.control.define(name, OBEDIENT, running=running)
        for name, running in (("moving", False), ("typed", True))
    }
    wait_status(vm("moving"), "down")
    wait_status(vm("typed"), "up")
    return found


def row(page: Page, name: str) -> Locator:
    """Return a VM's row."""
    return page.locator("#vm_table tbody tr", has_text=name)


def kill_web(portal: Instance, change: Callable[[], None]) -> None:
    """Kill the web server; what changes meanwhile is told to nobody."""
    was = portal.kill("web")
    change()
    portal.wait_restarted("web", was)
    portal.wait_answers()


def kill_redis(portal: Instance, change: Callable[[], None]) -> None:
    """Kill Redis likewise."""
    was = portal.kill("redis")
    change()
    portal.wait_restarted("redis", was)


def test_a_page_catches_up_and_loses_nothing_that_was_typed(
    portal: Instance, browsing: BrowserContext, uuids: dict[str, str], fake_host: FakeDaemon
) -> None:
    page = browsing.new_page()
    page.goto("/")
    row(page, "moving").get_by_role("checkbox").check()
    row(page, "typed").get_by_role("button", name="Actions on typed").click()
    page.get_by_role("menuitem", name="Reboot").click()
    reason = page.get_by_label("Reason")
    reason.press_sequentially("half a sen")

    def still_there() -> None:
        expect(reason).to_be_focused()
        expect(reason).to_have_value("half a sen")
        expect(page.locator("#dialog")).to_be_visible()
        assert row(page, "moving").locator("input[name=vm]").is_checked()

    expect(row(page, "moving")).to_contain_text("Down")
    for kill, hand, shown in ((kill_web, "start", "Up"), (kill_redis, "destroy", "Down"), (kill_web, "start", "Up")):
        kill(portal, lambda hand=hand: fake_host.control.hand(uuids["moving"], hand))  # type: ignore[misc]
        expect(row(page, "moving")).to_contain_text(shown)
        still_there()
    # Nobody reloaded it, and what was typed goes on where it was.
    reason.press_sequentially("tence")
    expect(reason).to_have_value("half a sentence")
    page.close()


def test_a_quiet_banner_says_that_nothing_is_told(
    portal: Instance, browsing: BrowserContext, uuids: dict[str, str], fake_host: FakeDaemon
) -> None:
    page = browsing.new_page()
    page.goto("/")
    banner = page.locator("#stream-banner")
    expect(row(page, "moving")).to_be_visible()
    portal.stop_process("redis")
    try:
        expect(banner).to_be_visible()
        # It asks instead.
        fake_host.control.hand(uuids["moving"], "destroy")
        expect(row(page, "moving")).to_contain_text("Down")
        fake_host.control.hand(uuids["moving"], "start")
        expect(row(page, "moving")).to_contain_text("Up")
    finally:
        portal.start_process("redis")
    expect(banner).to_be_hidden()
    page.close()


def test_seven_tabs_of_one_browser_are_all_told(
    browsing: BrowserContext, uuids: dict[str, str], fake_host: FakeDaemon
) -> None:
    fake_host.control.hand(uuids["moving"], "destroy")
    tabs = [browsing.new_page() for _ in range(TABS)]
    for tab in tabs:
        tab.goto("/")
        expect(row(tab, "moving")).to_contain_text("Down")
    fake_host.control.hand(uuids["moving"], "start")
    for tab in tabs:
        expect(row(tab, "moving")).to_contain_text("Up")
        assert row(tab, "moving").locator("tr").count() == 0
        # Told, not asked for: no tab fell back to asking.
        expect(tab.locator("#stream-banner")).to_be_hidden()
        tab.close()
