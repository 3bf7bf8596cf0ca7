"""Every page and dialog, on a desk and on a phone, light and dark: accessible, as wide as the screen, from one origin.

With `--pictures` each is photographed, too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID

import pytest
import time_machine
from django.conf import settings as django_settings
from django.contrib.auth.models import User
from django.urls import reverse
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect
from playwright.sync_api import Error as PlaywrightError
from pytest_django import Settings

from tests.screens import checks
from tests.screens.scene import NOW, Scene, build
from tests.screens.table import SCREENS, Screen, at_address
from tests.support.scene import LogIn, MakeOperation, MakeVm, the_role
from tests.support.site import serving, with_silent_stream
from vms.domain import second_factor
from vms.models import Assignment, Event, Host, Operation, Role, SecondFactor, Tag, VirtualMachine

pytestmark = pytest.mark.browser

#: Height of each width, and the other widths that are tried beside it. Half of 1,280 is what 200 % zoom leaves.
WIDTHS = {1280: (800, (640, 2560)), 400: (800, (320,))}
#: The browser's clock stands, as the server's does: what counts down shows the same second in every picture.
_CLOCK = f"""
    Date.now = () => {NOW.timestamp() * 1000:.0f};
    Object.defineProperty(performance, "timeOrigin", {{ value: Date.now() }});
    performance.getEntriesByType = () => [];  // nor did the answer take any time
"""
#: Whose lists in the administration are looked at.
_LISTED = (VirtualMachine, Operation, Event, Role, Assignment)
_SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
_FAILED_TO_LOAD = re.compile(r"Failed to load resource: the server responded with a status of (\d+)")


@pytest.fixture
def clock() -> Iterator[None]:
    """A morning that never ends."""
    with time_machine.travel(NOW, tick=False):
        yield


@pytest.fixture
def still_site(
    clock: None, transactional_db: None, woken: list[UUID], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """The address of a portal in which nothing changes by itself, nor by chance."""
    monkeypatch.setattr(second_factor, "new_secret", lambda: _SECRET)
    settings.ROOT_URLCONF = "tests.screens.urls"
    with serving(with_silent_stream()) as address:
        yield address


@pytest.fixture
def scene(still_site: str, host: Host, make_vm: MakeVm, make_operation: MakeOperation, admin: User) -> Scene:
    """The sample data."""
    return build(host, make_vm, make_operation, admin)


@pytest.fixture
def newcomer(admin: User) -> User:
    """Somebody who may look at the VMs with a tag that none has yet."""
    user = User.objects.create_user("nora")
    viewer = the_role("Viewer")  # made anew with the administrator, where an earlier test has emptied all
    Assignment.objects.create(role=viewer, user=user, tag=Tag.objects.create(name="training"))
    return user


@pytest.fixture
def guarded(admin: User) -> User:
    """Somebody with two-factor login."""
    user = User.objects.create_user("gina", password="a password")
    Assignment.objects.create(role=the_role("Viewer"), user=user)
    SecondFactor.objects.create(user=user, secret=_SECRET, used_interval=0, since=NOW)
    return user


class Eye:
    """Looks at screens in one width, as each of the people, and remembers what is wrong with them."""

    def __init__(self, browser: Browser, site: str, width: int, people: dict[str, User | None], log_in: LogIn) -> None:
        self._site = site
        self.width = width
        self.pages = {name: self._open(browser, user, log_in) for name, user in people.items()}
        self.found: list[str] = []
        self._screen: Screen | None = None

    def _open(self, browser: Browser, user: User | None, log_in: LogIn) -> Page:
        context: BrowserContext = browser.new_context(
            base_url=self._site,
            viewport={"width": self.width, "height": WIDTHS[self.width][0]},
            reduced_motion="reduce",
        )
        context.set_default_timeout(10_000)
        context.add_init_script(_CLOCK)
        if user is not None:
            name = django_settings.SESSION_COOKIE_NAME
            context.add_cookies([{"name": name, "value": log_in(user).cookies[name].value, "url": self._site}])
        page = context.new_page()
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.blame([str(error)]))
        page.on("request", lambda request: self._see(request.url))
        return page

    def blame(self, mistakes: list[str]) -> None:
        """Remember what is wrong with the screen that is looked at."""
        assert self._screen is not None
        self.found += [f"{self._screen.name}: {mistake}" for mistake in mistakes]

    def _hear(self, message: ConsoleMessage) -> None:
        provoked = _FAILED_TO_LOAD.match(message.text)
        if message.type in ("error", "warning") and not provoked:
            self.blame([message.text])

    def _see(self, url: str) -> None:
        if urlsplit(url).scheme != "data" and not url.startswith(self._site):
            self.blame([f"fetches {url}"])

    @contextmanager
    def on(self, screen: Screen) -> Iterator[None]:
        """Look at a screen; one that does not come up is named like any other mistake, and the next has its turn."""
        self._screen = screen
        try:
            yield
        except (AssertionError, PlaywrightError) as error:
            self.blame([str(error)])

    def bring_up(self, screen: Screen, scene: Scene) -> Page:
        """Open a screen, light."""
        page = self.pages[screen.person]
        page.emulate_media(color_scheme="light")
        answer = page.goto(screen.address(scene))
        assert answer is not None
        if answer.status != screen.status:
            self.blame([f"answered {answer.status}"])
        expect(page.locator(screen.shows).first).to_be_visible()
        if screen.step is not None:
            screen.step(page, scene)
        return page

    def look(self, page: Page, pictures: Path | None) -> None:
        """Look at what is up, in both themes."""
        assert self._screen is not None
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            checks.settled(page)
            if pictures is not None:
                page.screenshot(path=pictures / f"{self._screen.name}-{self.width}-{scheme}.png", caret="hide")
            self.blame(checks.accessibility(page))
        self.blame(checks.focus(page))
        for width in (self.width, *WIDTHS[self.width][1]):
            self.blame(checks.width(page, width))


@pytest.mark.parametrize("width", WIDTHS)
def test_every_screen_is_in_order(
    chromium: Browser,
    still_site: str,
    scene: Scene,
    admin: User,
    newcomer: User,
    guarded: User,
    outsider: User,
    log_in: LogIn,
    request: pytest.FixtureRequest,
    width: int,
) -> None:
    people = {"admin": admin, "newcomer": newcomer, "guarded": guarded, "outsider": outsider, "nobody": None}
    pictures: Path | None = request.config.getoption("--pictures", default=None)
    eye = Eye(chromium, still_site, width, people, log_in)
    for screen in SCREENS:
        with eye.on(screen):
            eye.look(eye.bring_up(screen, scene), pictures)
    for page in eye.pages.values():
        page.context.close()
    assert not eye.found, "\n".join(eye.found)


def test_the_administration_keeps_to_the_policy_and_the_origin(
    chromium: Browser, still_site: str, scene: Scene, admin: User, log_in: LogIn
) -> None:
    User.objects.filter(pk=admin.pk).update(is_staff=True, is_superuser=True)
    eye = Eye(chromium, still_site, 1280, {"admin": admin}, log_in)
    addresses = [reverse("admin:index"), reverse("admin:auth_user_change", args=[admin.pk])]
    addresses += [reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist") for model in _LISTED]
    for address in addresses:
        screen = Screen(address, at_address(address), shows="#content h1")
        with eye.on(screen):
            eye.bring_up(screen, scene)
    assert not eye.found, "\n".join(eye.found)
