"""Tests of connections: each is carried out once, whoever dies, and tells what was found."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from tests.engine.harness import at_once
from tests.support.fake import FakeDaemon
from tests.support.waiting import wait_until
from vms import actions
from vms.checker import Checker
from vms.engine import checks
from vms.models import HostCheck

pytestmark = pytest.mark.behaviour(29)

State = HostCheck.State


@pytest.fixture
def admin(transactional_db: None) -> User:
    """Somebody who may add hosts."""
    return User.objects.create_superuser("admin", password="x")


@pytest.fixture
def checker(transactional_db: None) -> Iterator[Checker]:
    """The watcher's thread that tests connections."""
    thread = Checker()
    thread.start()
    yield thread
    thread.stop()
    thread.join(10)
    assert not thread.is_alive()
    for each in threading.enumerate():
        if each.name == "check-host":
            each.join(20)


def ended(check: HostCheck, timeout: float = 20) -> HostCheck:
    """Wait until a test has its result."""

    def has_result() -> bool:
        check.refresh_from_db()
        return check.ended

    wait_until(has_result, "the test has its result", timeout, 0.05)
    return check


def test_what_was_found_is_written_down(admin: User, checker: Checker, fake: FakeDaemon) -> None:
    fake.control.define_many(2)
    check = ended(actions.check_host(admin, name="fake", uri=fake.uri))
    assert (check.state, check.version, check.vm_count, check.error) == (State.PASSED, "fake 1", 2, "")
    assert check.started_at is not None
    assert check.ended_at is not None


def test_what_is_wrong_is_written_down(admin: User, checker: Checker) -> None:
    check = ended(actions.check_host(admin, name="kvm2", uri="fake+unix:///nowhere/host.sock"))
    assert check.state == State.FAILED
    assert "/nowhere/host.sock" in check.error


def test_hosts_that_hang_hold_up_no_other_test(
    admin: User, checker: Checker, fake: FakeDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "LIMIT", 4.0)
    os.kill(fake.pid, signal.SIGSTOP)
    hung = [actions.check_host(admin, name=f"hung{number}", uri=fake.uri) for number in range(3)]
    wait_until(lambda: HostCheck.objects.filter(state=State.RUNNING).count() == 3, "they hang", 10)
    quick = ended(actions.check_host(admin, name="kvm2", uri="fake+unix:///nowhere/host.sock"))
    assert HostCheck.objects.filter(state=State.RUNNING).count() == 3
    assert quick.state == State.FAILED
    assert {ended(check).state for check in hung} == {State.FAILED}


def test_a_test_is_carried_out_by_one_of_two_watchers(admin: User) -> None:
    check = actions.check_host(admin, name="kvm2", uri="fake+unix:///nowhere/host.sock")
    claimed = [each for each in at_once([checks.claim] * 4) if each is not None]
    assert claimed == [check]


def test_a_test_that_was_lost_with_its_watcher_is_begun_anew_and_the_late_result_is_dropped(admin: User) -> None:
    actions.check_host(admin, name="kvm2", uri="fake+unix:///nowhere/host.sock")
    lost = checks.claim()
    assert lost is not None
    assert checks.claim() is None
    HostCheck.objects.update(started_at=timezone.now() - timedelta(seconds=checks.LIMIT + 11))
    again = checks.claim()
    assert again == lost
    checks.carry_out(lost)
    assert HostCheck.objects.get().state == State.RUNNING
    checks.carry_out(again)
    assert HostCheck.objects.get().state == State.FAILED


def test_old_tests_are_thrown_away_by_the_next(admin: User) -> None:
    actions.check_host(admin, name="kvm2", uri="qemu:///session")
    HostCheck.objects.update(created_at=timezone.now() - timedelta(days=2))
    newer = actions.check_host(admin, name="kvm3", uri="qemu:///system")
    assert HostCheck.objects.get() == newer


def test_a_database_that_fails_for_a_while_does_not_end_the_checker(
    admin: User, checker: Checker, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim, failures = checks.claim, []

    def fail() -> None:
        failures.append(1)
        raise RuntimeError("the database is away")

    monkeypatch.setattr(checks, "claim", fail)
    wait_until(lambda: failures, "it has failed")
    monkeypatch.setattr(checks, "claim", claim)
    assert ended(actions.check_host(admin, name="kvm2", uri="fake+unix:///nowhere/host.sock")).state == State.FAILED
