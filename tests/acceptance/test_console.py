"""The console, on a real guest: who gets in and who does not, and a text that is typed into the page and read there."""

from __future__ import annotations

import json
import string
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.contrib.auth.models import Permission, User
from playwright.sync_api import Browser, ConsoleMessage, Page, expect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from tests.acceptance.instance import PASSWORD, Instance, Person, vm, wait_status
from tests.support import chromium as browsers
from tests.support.guests import BootedGuest, boot_all
from tests.support.libvirtd import PrivateLibvirtd
from tests.support.waiting import wait_until
from vms.console.proxy import Code
from vms.demo.guests import DEMO_GUESTS, EmulatorType
from vms.demo.image import GuestImage
from vms.engine.records import Code as EventCode
from vms.models import Event, VirtualMachine
from vms.tickets import GOOD_FOR

pytestmark = pytest.mark.guest


@pytest.fixture(scope="module")
def demo_guests(
    libvirtd: PrivateLibvirtd, guest_image: GuestImage, emulator_type: EmulatorType
) -> dict[str, BootedGuest]:
    """One guest is enough here."""
    return boot_all(libvirtd, guest_image, emulator_type, [DEMO_GUESTS["obedient"]])


@pytest.fixture(scope="module")
def guest(demo_guests: dict[str, BootedGuest]) -> BootedGuest:
    """The guest whose console is opened."""
    return demo_guests["demo-obedient"]


@pytest.fixture(scope="module")
def machine(real_portal: Instance) -> VirtualMachine:
    """The same, as the portal knows it."""
    machine = vm("demo-obedient")
    wait_status(machine, "up")
    return machine


@pytest.fixture(scope="module")
def admin(real_portal: Instance) -> Person:
    """The administrator, logged in."""
    return real_portal.person()


def somebody(portal: Instance, name: str) -> tuple[User, Person]:
    """Return somebody who may see VMs and use their consoles, logged in."""
    # As the portal itself keeps a password: it does not know the fast way of these tests.
    hasher = PBKDF2PasswordHasher()
    user = User.objects.create(username=name, password=hasher.encode(PASSWORD, hasher.salt()))
    user.user_permissions.set(Permission.objects.filter(codename__in=("view_vm", "console_vm")))
    return user, portal.person(name)


def ticket_for(person: Person, machine: VirtualMachine) -> str:
    """Return a new ticket of somebody's."""
    answer = person.post(f"/vms/{machine.pk}/console/ticket/")
    assert answer.status == HTTPStatus.OK, answer.body
    return str(json.loads(answer.body)["ticket"])


@contextmanager
def opened(
    portal: Instance, cookies: str, ticket: str, *, origin: str | None = "the portal's"
) -> Iterator[ClientConnection]:
    """Open the WebSocket of a console as a page of some origin does."""
    own = portal.url.rstrip("/")
    with connect(
        f"{own.replace('http', 'ws')}/console/?ticket={ticket}",
        origin=own if origin == "the portal's" else origin,  # type: ignore[arg-type]  # any text, for a test
        additional_headers={"Cookie": cookies},
        compression=None,
    ) as page:
        yield page


def greeting(page: ClientConnection) -> bytes:
    """Return what the guest's display says first."""
    said = page.recv(timeout=10)
    assert isinstance(said, bytes)
    return said


def end(page: ClientConnection, timeout: float = 10) -> int:
    """Wait until the portal closes a console, and return the code that it says."""
    with suppress(ConnectionClosed):
        while True:
            page.recv(timeout=timeout)
    assert page.close_code is not None
    return page.close_code


def refusal(portal: Instance, cookies: str, ticket: str) -> int:
    """Return the code with which a console is closed that shows nothing."""
    with opened(portal, cookies, ticket) as page:
        return end(page)


# Who gets in ----------------------------------------------------------------------------------------------------------


def test_a_ticket_opens_a_console_once(real_portal: Instance, admin: Person, machine: VirtualMachine) -> None:
    ticket = ticket_for(admin, machine)
    with opened(real_portal, admin.cookies, ticket) as page:
        assert greeting(page).startswith(b"RFB 003.")
        assert refusal(real_portal, admin.cookies, ticket) == Code.FORBIDDEN
    events = Event.objects.filter(vm=machine, actor_name="admin")
    closed = wait_until(events.filter(code=EventCode.CONSOLE_CLOSED).first, "an event tells that it was closed")
    assert events.get(code=EventCode.CONSOLE_OPENED).correlation_id == closed.correlation_id != ""


def test_a_stolen_ticket_is_refused_and_used_up(real_portal: Instance, admin: Person, machine: VirtualMachine) -> None:
    _, thief = somebody(real_portal, "thief")
    for cookies in (thief.cookies, "", "%00=;;;"):
        ticket = ticket_for(admin, machine)
        assert refusal(real_portal, cookies, ticket) == Code.FORBIDDEN
        assert refusal(real_portal, admin.cookies, ticket) == Code.FORBIDDEN


def test_a_ticket_of_another_session_of_the_same_person_is_refused(
    real_portal: Instance, admin: Person, machine: VirtualMachine
) -> None:
    assert refusal(real_portal, real_portal.person().cookies, ticket_for(admin, machine)) == Code.FORBIDDEN


def test_a_ticket_is_good_for_seconds(real_portal: Instance, admin: Person, machine: VirtualMachine) -> None:
    ticket = ticket_for(admin, machine)
    redis = real_portal.redis()
    (key,) = redis.keys(f"*{ticket}")
    assert 0 < redis.ttl(key) <= GOOD_FOR
    redis.pexpire(key, 1)
    wait_until(lambda: not redis.exists(key), "its time is over")
    assert refusal(real_portal, admin.cookies, ticket) == Code.FORBIDDEN


@pytest.mark.parametrize("ticket", ["", "nonsense", "%00%ff", "a&ticket=b", "x" * 5000])
def test_what_is_no_ticket_is_refused(real_portal: Instance, admin: Person, ticket: str) -> None:
    assert refusal(real_portal, admin.cookies, ticket) == Code.FORBIDDEN


@pytest.mark.parametrize("origin", [None, "null", "http://elsewhere.example", "http://127.0.0.1:1"])
def test_a_page_from_elsewhere_opens_no_console(
    real_portal: Instance, admin: Person, machine: VirtualMachine, origin: str | None
) -> None:
    ticket = ticket_for(admin, machine)
    with pytest.raises(InvalidStatus) as refused, opened(real_portal, admin.cookies, ticket, origin=origin):
        pass
    assert refused.value.response.status_code == HTTPStatus.FORBIDDEN


def test_whose_permission_ended_since_gets_no_console(real_portal: Instance, machine: VirtualMachine) -> None:
    user, person = somebody(real_portal, "late")
    ticket = ticket_for(person, machine)
    user.user_permissions.remove(Permission.objects.get(codename="console_vm"))
    assert refusal(real_portal, person.cookies, ticket) == Code.FORBIDDEN
    assert person.post(f"/vms/{machine.pk}/console/ticket/").status == HTTPStatus.FORBIDDEN


@pytest.mark.parametrize("how", ["permission", "account", "logout"])
def test_an_open_console_closes_when_its_viewer_may_use_it_no_more(
    real_portal: Instance, machine: VirtualMachine, how: str
) -> None:
    user, person = somebody(real_portal, f"leaving-{how}")
    with opened(real_portal, person.cookies, ticket_for(person, machine)) as page:
        greeting(page)
        if how == "permission":
            user.user_permissions.remove(Permission.objects.get(codename="console_vm"))
        elif how == "account":
            User.objects.filter(pk=user.pk).update(is_active=False)
        else:
            person.post("/logout/")
        assert end(page, timeout=15) == Code.FORBIDDEN


def test_a_page_that_talks_nonsense_loses_its_own_console_only(
    real_portal: Instance, admin: Person, machine: VirtualMachine, guest: BootedGuest
) -> None:
    with opened(real_portal, admin.cookies, ticket_for(admin, machine)) as good:
        greeting(good)
        with opened(real_portal, admin.cookies, ticket_for(admin, machine)) as bad:
            greeting(bad)
            bad.send(b"\xff" * 4096)
            assert end(bad) == Code.RUN_ENDED
        good.send(b"RFB 003.008\n")
        assert greeting(good)
    assert guest.is_running()


# In the page ----------------------------------------------------------------------------------------------------------

SHIFTED = set(string.ascii_uppercase + '~!@#$%^&*()_+{}|:"<>?')
#: Each character of the guest's screen (80 x 25) as the pixels of its cell that are not of the cell's background.
CELLS = """() => {
  const canvas = document.querySelector("#console_screen canvas");
  const pixels = new Uint32Array(canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data.buffer);
  const width = canvas.width / 80, height = canvas.height / 25, rows = [];
  for (let row = 0; row < 25; row++) {
    rows.push([]);
    for (let column = 0; column < 80; column++) {
      const at = (x, y) => pixels[(row * height + y) * canvas.width + column * width + x];
      let cell = "";
      for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) cell += at(x, y) === at(0, 0) ? " " : "#";
      rows[row].push(cell);
    }
  }
  return rows;
}"""


@pytest.fixture
def chromium() -> Iterator[Browser]:
    """Debian's Chromium."""
    with browsers.chromium() as browser:
        yield browser


class Screen:
    """The guest's screen in a page, read by glyphs that are learned from what the guest itself says it shows."""

    def __init__(self, page: Page, guest: BootedGuest) -> None:
        self._page, self._guest = page, guest
        self._glyphs: dict[str, str] = {}

    def type(self, text: str) -> None:
        """Type a line, with Shift where a US keyboard has it: a guest is told keys, not characters."""
        for character in text:
            self._page.keyboard.press(f"Shift+{character}" if character in SHIFTED else character, delay=20)
        self._page.keyboard.press("Enter")

    def learn(self) -> None:
        """Learn how characters look from the guest's own account of its screen: one glyph each, and no glyph twice."""
        size = 80 * 25
        self.type("(echo begin; cat /dev/vcs1) >/dev/ttyS0")

        def said() -> str:
            return self._guest.serial().partition("begin")[2].lstrip("\r\n")

        self._guest.wait(lambda: len(said()) >= size, "the guest tells what it shows", 15)
        rows = [said()[start : start + 80] for start in range(0, size, 80)]
        wait_until(lambda: self._agrees(rows), "the screen shows what the guest tells", 15, 0.2)

    def _agrees(self, rows: list[str]) -> bool:
        """Say whether the page shows these rows, down to the one that asked for them, and keep how they look."""
        cells = self._page.evaluate(CELLS)
        asked = next(number for number, row in enumerate(rows) if "vcs1" in row)
        seen = {pair for row in range(asked + 1) for pair in zip(cells[row], rows[row], strict=True)}
        self._glyphs = dict(seen)
        return len(seen) == len(self._glyphs) == len(set(self._glyphs.values()))

    def lines(self) -> list[str]:
        """Read it; what was not learned is a question mark."""
        return ["".join(self._glyphs.get(glyph, "?") for glyph in row).rstrip() for row in self._page.evaluate(CELLS)]

    def wait_for(self, text: str, timeout: float = 20) -> None:
        """Wait until a line of the screen has this text."""
        wait_until(lambda: any(text in line for line in self.lines()), f"the screen shows {text!r}", timeout, 0.2)


@pytest.fixture
def open_console(real_portal: Instance, machine: VirtualMachine, chromium: Browser) -> Iterator[Callable[[str], Page]]:
    """Open the console's page as somebody; a mistake in the browser's console fails the test."""
    said: list[str] = []

    def hear(message: ConsoleMessage) -> None:
        # A ticket that is asked for in the moment in which the guest is down, or that is refused, is answered 4xx. And
        # Chromium warns of how this test reads the screen.
        if message.type == "error" and "the server responded with a status of 4" not in message.text:
            said.append(message.text)

    def open_page(name: str) -> Page:
        page = chromium.new_page(viewport={"width": 1280, "height": 900})
        page.on("console", hear)
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(f"{real_portal.url}vms/{machine.pk}/console/")
        page.get_by_label("Username").fill(name)
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Log in").click()
        expect(page.locator("#console_state")).to_contain_text("Connected.", timeout=15_000)
        return page

    yield open_page
    assert said == []


def test_a_text_is_typed_and_read_and_a_reboot_keeps_the_tab(
    guest: BootedGuest, open_console: Callable[[str], Page]
) -> None:
    page = open_console("admin")
    assert Axe().run(page).response["violations"] == []
    screen = Screen(page, guest)
    screen.type("")
    guest.wait_said("opens a shell")
    screen.type("echo the quick brown fox jumps over the lazy dog 0123456789 LRU: >/dev/ttyS0")
    guest.wait_said("lazy dog")
    screen.learn()
    screen.type("echo a $((6*7))-fold wizard jumps")
    screen.wait_for("a 42-fold wizard jumps")

    # Tab is the guest's, as every key is; the way out is not.
    page.keyboard.press("Tab")
    expect(page.locator("#console_screen canvas")).to_be_focused()
    page.keyboard.press("Control+Alt+Shift")
    expect(page.get_by_role("button", name="Type into the screen")).to_be_focused()
    page.get_by_text("Type a text for me").click()
    page.get_by_label("Text", exact=True).fill("echo 'Typed: {FOR} ~me~' >/dev/ttyS0\n")
    page.get_by_role("button", name="Type it").click()
    guest.wait_said("Typed: {FOR} ~me~")

    page.locator("#vm_toolbar_reboot").click()
    page.get_by_role("dialog").get_by_role("button", name="Reboot").click()
    expect(page.locator("#console_state")).to_contain_text("connects by itself", timeout=60_000)
    guest.wait_ready(runs=2)
    expect(page.locator("#console_state")).to_contain_text("Connected.", timeout=15_000)
    screen.wait_for("Last re")
    assert not any("wizard" in line for line in screen.lines())


@pytest.fixture
def watched(real_portal: Instance) -> User:
    """Somebody who loses a permission."""
    return somebody(real_portal, "watched")[0]


def test_the_page_says_that_its_permission_was_withdrawn(watched: User, open_console: Callable[[str], Page]) -> None:
    page = open_console("watched")
    watched.user_permissions.remove(Permission.objects.get(codename="console_vm"))
    expect(page.locator("#console_state")).to_contain_text("You may not use this console", timeout=15_000)
    expect(page.locator("#console_screen canvas")).to_have_count(0)
    expect(page.locator("#console_cad")).to_have_attribute("aria-disabled", "true")
