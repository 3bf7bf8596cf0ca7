"""The stream that keeps pages fresh, from the processes that change something to a page that listens."""

from __future__ import annotations

import http.client
import json
import queue
import socket
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from django.contrib.auth.hashers import PBKDF2PasswordHasher, make_password
from django.contrib.auth.models import Permission, User
from django.contrib.sessions.models import Session

from tests.acceptance.instance import PASSWORD, Instance, Person, ended, vm, wait_status
from tests.support.fake import FakeDaemon
from vms.hypervisor.fake import OBEDIENT, Temper

#: Seconds that a change on a host may take to a page, in the median and for 19 of 20.
MEDIAN, P95 = 0.5, 0.7


class Page:
    """What a page hears, by a connection of its own."""

    def __init__(self, portal: Instance, cookies: str) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", portal.port, timeout=60)
        self._connection.request("GET", "/live/", headers={"Cookie": cookies})
        self._socket = self._connection.sock
        self.answer = self._connection.getresponse()
        self.status = self.answer.status
        self.frames: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        try:
            for line in self.answer:
                if line.startswith(b"data: "):
                    self.frames.put(json.loads(line[6:]))
        except (OSError, http.client.HTTPException):
            pass
        self.frames.put(None)

    def hear(self, wanted: Callable[[dict[str, Any]], object], what: str, timeout: float = 10) -> dict[str, Any]:
        """Return the first frame that is wanted; those before it are passed over."""
        until = time.monotonic() + timeout
        passed = []
        while (left := until - time.monotonic()) > 0:
            try:
                frame = self.frames.get(timeout=left)
            except queue.Empty:
                break
            if frame is None:
                raise AssertionError(f"the stream ended before {what}")
            if wanted(frame):
                return frame
            passed.append(frame)
        raise AssertionError(f"waited {timeout} s in vain until {what}; heard {passed}")

    def wait_ended(self, timeout: float) -> None:
        """Wait until the server ends the stream."""
        until = time.monotonic() + timeout
        while self.frames.get(timeout=max(0.0, until - time.monotonic())) is not None:
            pass

    def close(self) -> None:
        """Leave."""
        if self._socket is not None:
            # Whoever reads sees the end; closing the answer under its hands would break it.
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
            self._thread.join(10)
        self._connection.close()


@contextmanager
def listening(portal: Instance, person: Person) -> Iterator[Page]:
    """Open the stream as a page of somebody does, and hear that nothing is lost."""
    page = Page(portal, person.cookies)
    assert page.status == http.HTTPStatus.OK
    try:
        page.hear(lambda frame: frame.get("lost") is False and "*" in frame["topics"], "it listens")
        yield page
    finally:
        page.close()


@pytest.fixture(scope="module")
def admin(portal: Instance) -> Person:
    """The administrator, logged in."""
    return portal.person()


def somebody(name: str) -> User:
    """Add a person without any permission, with a password that the portal's own settings can check."""
    return User.objects.create(username=name, password=make_password(PASSWORD, hasher=PBKDF2PasswordHasher()))


def row_of(frame: dict[str, Any], machine: Any) -> str:
    """Return the row that a frame brings of a VM, or an empty text."""
    return str(frame["parts"].get(f"vm_row_{machine.pk}", ""))


def test_a_change_on_the_host_reaches_an_open_page(
    portal: Instance, admin: Person, fake_host: FakeDaemon, record_property: Callable[[str, object], None]
) -> None:
    uuid = fake_host.control.define("watched", OBEDIENT, running=False)
    machine = vm("watched")
    wait_status(machine, "down")
    took = []
    with listening(portal, admin) as page:
        for _ in range(20):
            for hand, shown in (("start", "watched: Up"), ("destroy", "watched: Down")):
                began = time.monotonic()
                fake_host.control.hand(uuid, hand)  # type: ignore[arg-type]
                page.hear(lambda frame, shown=shown: shown in row_of(frame, machine), f"its row says {shown}")  # type: ignore[misc]
                took.append(time.monotonic() - began)
    median, p95 = statistics.median(took), statistics.quantiles(took, n=20)[-1]
    record_property("figure", f"a change on a host shows in an open page: median {median:.2f} s, p95 {p95:.2f} s")
    assert median < MEDIAN
    assert p95 < P95


def test_a_reboot_is_told_step_by_step(portal: Instance, admin: Person, fake_host: FakeDaemon) -> None:
    # Slower than frames follow each other: its beginning and its end are told apart.
    fake_host.control.define("told", Temper(slow=1.0))
    machine = vm("told")
    wait_status(machine, "up")
    with listening(portal, admin) as page:
        operation = admin.act("reboot", machine)
        begun = page.hear(lambda frame: "told" in frame["parts"].get("operation_strip", ""), "the strip names it")
        assert f"operation:{operation.pk}" in begun["topics"]
        assert "portal-countdown" in row_of(begun, machine)
        ended(operation.pk)
        over = page.hear(lambda frame: '"told: Up"' in row_of(frame, machine), "its row says Up and nothing else")
        assert f"operation:{operation.pk}" in over["topics"]


def test_a_page_hears_that_redis_was_lost_and_reads_itself_again(portal: Instance, admin: Person) -> None:
    with listening(portal, admin) as page:
        portal.kill("redis")
        page.hear(lambda frame: frame.get("lost") is True, "it hears of the loss")
        page.hear(lambda frame: frame.get("lost") is False and "*" in frame["topics"], "it is to read all again", 30)


def test_a_stream_that_was_cut_off_can_be_opened_again(portal: Instance, admin: Person) -> None:
    with listening(portal, admin) as page:
        pid = portal.kill("web")
        page.wait_ended(10)
    portal.wait_restarted("web", pid)
    portal.wait_answers()
    with listening(portal, admin):
        pass


def test_the_web_stops_in_time_while_a_stream_is_open(portal: Instance, admin: Person) -> None:
    with listening(portal, admin) as page:
        began = time.monotonic()
        portal.stop_process("web")
        took = time.monotonic() - began
        page.wait_ended(10)
    portal.start_process("web")
    portal.wait_answers()
    # After 6 s the supervisor would have killed it.
    assert took < 5.5


@pytest.mark.parametrize("cookies", ["", "portal_session=nobody", "%00=;;;"])
def test_nobody_else_may_listen(portal: Instance, cookies: str) -> None:
    page = Page(portal, cookies)
    assert page.status == http.HTTPStatus.FORBIDDEN
    page.close()


def test_who_may_see_no_vm_may_not_listen(portal: Instance) -> None:
    somebody("blind")
    page = Page(portal, portal.person("blind").cookies)
    assert page.status == http.HTTPStatus.FORBIDDEN
    page.close()


@pytest.mark.parametrize("how", ["permission", "session"])
def test_who_may_listen_no_more_hears_no_more(portal: Instance, how: str) -> None:
    person = somebody(f"leaving-{how}")
    person.user_permissions.set(Permission.objects.filter(content_type__app_label="vms", codename="view_vm"))
    before = set(Session.objects.values_list("pk", flat=True))
    session = portal.person(person.username)
    with listening(portal, session) as page:
        if how == "permission":
            person.user_permissions.clear()
        else:
            Session.objects.exclude(pk__in=before).delete()
        page.wait_ended(30)
