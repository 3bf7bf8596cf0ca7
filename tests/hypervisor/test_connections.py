"""One connection per host and process, opened again when it was lost, at little cost while the host is away."""

from __future__ import annotations

import os
import threading
import time

import pytest

from tests.support.fake import FakeDaemon
from tests.support.waiting import wait_until
from vms.hypervisor import connections
from vms.hypervisor.base import HostUnreachable, Hypervisor, HypervisorError
from vms.hypervisor.connections import Connections


def test_every_caller_gets_the_same_connection(fake: FakeDaemon) -> None:
    first = connections.get(fake.uri)
    assert connections.get(fake.uri) is first
    connections.forget(fake.uri)
    assert not first.alive
    assert connections.get(fake.uri) is not first


def test_a_lost_connection_is_opened_again(fake: FakeDaemon) -> None:
    first = connections.get(fake.uri)
    fake.kill()
    wait_until(lambda: not first.alive, "the loss is noticed")
    fake.start()
    assert connections.get(fake.uri).info().hypervisor == "fake"


def test_a_host_that_is_away_is_not_asked_at_every_turn(fake: FakeDaemon) -> None:
    attempts: list[str] = []

    def connect(uri: str) -> Hypervisor:
        attempts.append(uri)
        return connections.connect(uri)

    mine = Connections(connect)
    fake.stop()
    for _ in range(100):
        with pytest.raises(HostUnreachable):
            mine.get(fake.uri)
        mine.forget(fake.uri)
    assert len(attempts) < 5
    fake.start()

    def reached() -> bool:
        try:
            return mine.get(fake.uri).alive
        except HostUnreachable:
            return False

    wait_until(reached, "the host is tried again")
    mine.close_all()


def test_an_attempt_that_takes_too_long_is_waited_for_once(fake: FakeDaemon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "CONNECT_LIMIT", 0.05)
    go_on = threading.Event()

    def connect(uri: str) -> Hypervisor:
        go_on.wait()
        return connections.connect(uri)

    mine = Connections(connect)
    with pytest.raises(HostUnreachable):
        mine.get(fake.uri)
    before = time.monotonic()
    for _ in range(10):
        with pytest.raises(HostUnreachable):
            mine.get(fake.uri)
    assert time.monotonic() - before < 0.04
    go_on.set()

    def reached() -> bool:
        try:
            return mine.get(fake.uri).alive
        except HostUnreachable:
            return False

    wait_until(reached, "what the attempt came to is used")
    mine.close_all()


def test_only_who_begins_an_attempt_waits_for_it(fake: FakeDaemon) -> None:
    go_on = threading.Event()

    def connect(uri: str) -> Hypervisor:
        go_on.wait(10)
        return connections.connect(uri)

    mine = Connections(connect)
    opened: list[Hypervisor] = []
    patient = threading.Thread(target=lambda: opened.append(mine.get(fake.uri, 10)))
    patient.start()

    def refused() -> float | None:
        before = time.monotonic()
        try:
            mine.get(fake.uri, 10)
        except HostUnreachable:
            return time.monotonic() - before
        return None

    assert wait_until(refused, "another is refused") < 1
    go_on.set()
    patient.join(10)
    assert opened == [mine.get(fake.uri)]
    mine.close_all()


def test_a_host_that_is_released_is_forgotten_even_while_it_is_being_connected_to(fake: FakeDaemon) -> None:
    go_on = threading.Event()
    made: list[Hypervisor] = []

    def connect(uri: str) -> Hypervisor:
        go_on.wait(10)
        made.append(connections.connect(uri))
        return made[-1]

    mine = Connections(connect)
    with pytest.raises(HostUnreachable):
        mine.get(fake.uri, 0.05)
    mine.release(fake.uri)
    go_on.set()
    wait_until(lambda: made and not made[0].alive, "what the attempt came to was closed")
    assert mine.get(fake.uri).alive
    mine.close_all()


def test_a_connection_that_nobody_asks_for_is_closed(fake: FakeDaemon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "IDLE_LIMIT", 0.0)
    mine = Connections()
    first = mine.get(fake.uri)
    assert mine.get(fake.uri) is first
    other = mine.get(f"{fake.uri}&other")
    assert (first.alive, other.alive) == (False, True)
    mine.close_all()


def test_a_child_process_starts_without_its_parents_connections(fake: FakeDaemon) -> None:
    parent = connections.get(fake.uri)
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        # Nothing of the test runner may run on in here.
        try:
            os.write(write, b"same" if connections.get(fake.uri) is parent else b"another")
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        assert pipe.read() == b"another"
    os.waitpid(child, 0)
    assert parent.info().hypervisor == "fake"


@pytest.mark.parametrize("uri", ["nonsense:///", "qemu+unix:///system?socket=/nowhere", "fake+unix:"])
def test_a_uri_that_leads_nowhere_is_an_error_of_the_port(uri: str) -> None:
    with pytest.raises(HypervisorError):
        connections.connect(uri)
