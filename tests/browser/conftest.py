"""The fixtures of this ring: the portal behind a real ASGI server, and a browser in front of it.

The server runs in a thread of the test's own process, on the test's own database, so that a test can arrange and read
rows. Playwright's event loop makes Django believe that the tests are asynchronous; they are not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from uuid import UUID

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.contrib.auth.models import User
from playwright.sync_api import Browser, ConsoleMessage, Page, expect

from tests.support import chromium as browsers
from tests.support.scene import (  # noqa: F401  (fixtures: pytest finds them by their names)
    admin,
    host,
    log_in,
    make_operation,
    make_vm,
    operator,
    outsider,
    viewer,
    vm,
    woken,
)
from tests.support.site import serving

PASSWORD = "a password"
#: An answer of 4xx that a test provokes is no mistake of the page's.
_PROVOKED = "Failed to load resource: the server responded with a status of 4"


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    """Debian's Chromium. Of this package only: other rings are synchronous."""
    with browsers.chromium() as browser:
        yield browser


@pytest.fixture
def site(transactional_db: None, woken: list[UUID]) -> Iterator[str]:  # noqa: F811
    """The address of a running portal."""
    with serving() as address:
        yield address


OpenPage = Callable[..., Page]


@pytest.fixture
def open_page(chromium: Browser, site: str) -> Iterator[OpenPage]:
    """Open the portal in a fresh browser, as somebody; a mistake in the browser's console fails the test."""
    contexts = []
    said: list[str] = []

    def hear(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not message.text.startswith(_PROVOKED):
            said.append(message.text)

    def open_as(user: User | None, path: str = "/", *, width: int = 1280, scheme: str = "light") -> Page:
        context = chromium.new_context(
            base_url=site,
            viewport={"width": width, "height": 860},
            color_scheme="dark" if scheme == "dark" else "light",
            reduced_motion="reduce",
        )
        context.set_default_timeout(10_000)
        contexts.append(context)
        page = context.new_page()
        page.on("console", hear)
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(path)
        if user is not None:
            page.get_by_label("Username").fill(user.username)
            page.get_by_label("Password").fill(PASSWORD)
            page.get_by_role("button", name="Log in").click()
            expect(page.locator("#main h1")).to_be_visible()
        return page

    expect.set_options(timeout=10_000)
    yield open_as
    for context in contexts:
        context.close()
    assert said == []


CheckAccessibility = Callable[[Page], None]


@pytest.fixture(scope="package")
def check_accessibility() -> CheckAccessibility:
    """Have axe look at a page as it is now, and want it to find nothing."""
    axe = Axe()

    def check(page: Page) -> None:
        found = axe.run(page).response["violations"]
        assert [(each["id"], [node["target"] for node in each["nodes"]]) for each in found] == []

    return check
