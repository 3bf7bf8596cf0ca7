"""The seats of a host: one worker fewer than there are may wait for it; the others do not wait for a seat either."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

import pytest
from django.utils import timezone
from pytest_django import Settings

from tests.engine.harness import Engine, at_once
from tests.support.waiting import wait_until
from vms import actions
from vms.domain.operation import Failure, Outcome, Stage
from vms.engine import seats
from vms.engine.advance import advance
from vms.hypervisor.fake import STUBBORN
from vms.models import Operation, VirtualMachine

pytestmark = pytest.mark.behaviour(29)

ONE, OTHER = 1, 2


@pytest.fixture(autouse=True)
def two_seats(settings: Settings, tmp_path: Path) -> None:
    """As many as three workers have."""
    settings.HOST_SEATS = 2
    settings.HOST_SEATS_DIRECTORY = str(tmp_path / "run" / "seats")


@pytest.fixture
def full() -> Iterator[ExitStack]:
    """A host all of whose seats are taken by workers that wait for its answer."""
    with ExitStack() as stack:
        for _ in range(2):
            take(stack, ONE)
        yield stack


def take(stack: ExitStack, host_id: int) -> None:
    """Take a seat and wait for the host from now on."""
    stack.enter_context(stack.enter_context(seats.taken(host_id)).asking())


def refused() -> tuple[bool, float]:
    """Ask for a seat in vain; returns whether the others are stuck, and how long that took to find out."""
    before = time.monotonic()
    with pytest.raises(seats.NoSeat) as no_seat, seats.taken(ONE):
        pass
    return no_seat.value.stuck, time.monotonic() - before


def test_a_host_that_answers_nobody_gets_no_more_than_its_seats(full: ExitStack) -> None:
    stuck, took = refused()
    assert stuck
    assert took < seats.PATIENCE


def test_who_waits_for_something_else_is_not_taken_for_stuck(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seats, "PATIENCE", 2 * seats.STUCK_AFTER)
    with seats.taken(ONE) as one, one.asking(), seats.taken(ONE):
        stuck, took = refused()
    assert not stuck
    assert took >= seats.PATIENCE


def test_what_one_who_died_while_asking_left_behind_is_forgotten(
    full: ExitStack, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    monkeypatch.setattr(seats, "PATIENCE", 2 * seats.STUCK_AFTER)
    full.close()
    for path in Path(settings.HOST_SEATS_DIRECTORY).iterdir():
        os.utime(path, (1, 1))
    with seats.taken(ONE), seats.taken(ONE):
        stuck, _ = refused()
    assert not stuck


def test_those_of_another_host_are_free(full: ExitStack) -> None:
    with seats.taken(OTHER):
        pass


def test_a_seat_that_is_given_back_can_be_taken(full: ExitStack) -> None:
    full.close()
    for _ in range(3):
        with seats.taken(ONE), seats.taken(ONE):
            pass


def test_nobody_waits_behind_those_who_wait_already(full: ExitStack) -> None:
    refused()
    stuck, took = refused()
    assert stuck
    assert took < seats.STUCK_AFTER / 2


def test_a_seat_that_is_used_again_and_again_is_waited_for(two_seats: None) -> None:
    """Workers that get their answers hold a seat for moments only: whoever waits finds one."""

    def work() -> int:
        done, until = 0, time.monotonic() + 1.0
        while time.monotonic() < until:
            with seats.taken(ONE):
                done += 1
        return done

    counts = at_once([work] * 4)
    assert all(isinstance(count, int) and count > 0 for count in counts), counts


def _hold(path: str) -> None:
    with seats.taken(ONE) as seat, seat.asking():
        Path(path).touch()
        signal.pause()


def test_the_seat_of_a_process_that_is_killed_is_free_at_once(tmp_path: Path, settings: Settings) -> None:
    settings.HOST_SEATS = 1
    process = multiprocessing.get_context("fork").Process(target=_hold, args=[str(tmp_path / "held")])
    process.start()
    wait_until((tmp_path / "held").exists, "the seat was taken")
    wait_until(lambda: seats.stuck_hosts() == {ONE}, "nobody was answered for a while")
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join(10)
    assert seats.stuck_hosts() == set()
    with seats.taken(ONE):
        pass


def test_an_operation_on_a_host_without_a_seat_comes_back_to_it(engine: Engine) -> None:
    vm = engine.define(temper=STUBBORN)
    operation = actions.reboot(engine.admin, vm, force=True, delay=1)
    with ExitStack() as stack:
        for _ in range(2):
            take(stack, engine.host.pk)
        advance(vm.pk)
        operation.refresh_from_db()
        assert (operation.stage, operation.wake_at is not None) == (Stage.ACCEPTED, True)
        assert engine.calls(vm) == []
    assert engine.finish(operation).outcome == Outcome.FORCED


def test_a_host_that_answers_nobody_costs_those_who_wait_for_it_no_lease(engine: Engine) -> None:
    vm = engine.define(temper=STUBBORN)
    operation = actions.reboot(engine.admin, vm, force=True, delay=1)
    with ExitStack() as stack:
        for _ in range(2):
            take(stack, engine.host.pk)
        assert seats.stuck_hosts() == set()
        wait_until(lambda: seats.stuck_hosts() == {engine.host.pk}, "nobody was answered for a while")
        was_looked_at = VirtualMachine.objects.get(pk=vm.pk).lease_at
        assert not advance(vm.pk)
        assert VirtualMachine.objects.get(pk=vm.pk).lease_at == was_looked_at
        operation.refresh_from_db()
        assert operation.wake_at is not None
        assert operation.wake_at > timezone.now()
    assert seats.stuck_hosts() == set()
    assert engine.finish(operation).outcome == Outcome.FORCED


def test_a_call_without_a_seat_is_not_written_down(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A step says that a call may have been made; one that waits for room was not."""
    vm = engine.define(temper=STUBBORN)
    operation = actions.reboot(engine.admin, vm, force=True, delay=1)
    with ExitStack() as stack:
        real, asked = seats.taken, []

        def taken(host_id: int) -> AbstractContextManager[seats.Seat]:
            # The look finds room, the call that follows it does not.
            asked.append(host_id)
            if len(asked) == 2:
                for _ in range(2):
                    stack.enter_context(stack.enter_context(real(host_id)).asking())
            return real(host_id)

        monkeypatch.setattr(seats, "taken", taken)
        advance(vm.pk)
        assert len(asked) == 2
        assert not operation.steps.exists()
    monkeypatch.setattr(seats, "taken", real)
    assert engine.finish(operation).outcome == Outcome.FORCED


def test_an_operation_that_never_finds_a_seat_fails_at_its_deadline_and_says_why(engine: Engine) -> None:
    vm = engine.define(temper=STUBBORN)
    operation = actions.reboot(engine.admin, vm)
    Operation.objects.filter(pk=operation.pk).update(hard_deadline_at=operation.created_at)
    with ExitStack() as stack:
        for _ in range(2):
            take(stack, engine.host.pk)
        advance(vm.pk)
    operation.refresh_from_db()
    assert (operation.outcome, operation.failure) == (Outcome.FAILED, Failure.HOST_UNREACHABLE)
    assert operation.failure_detail
