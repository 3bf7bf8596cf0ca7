"""One worker at a time acts on a VM; a wake that meets it is not lost; a worker that died is taken over from."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.utils import timezone

from tests.engine.death import forked
from tests.engine.harness import Engine, at_once
from tests.support.waiting import wait_until
from vms import actions
from vms.domain.decide import pace
from vms.domain.operation import Outcome, StepKind
from vms.domain.power import VmStatus
from vms.engine import lease
from vms.engine.advance import advance
from vms.models import Operation, VirtualMachine


def held_by(vm: VirtualMachine, owner: str, *, for_seconds: float = 60) -> None:
    """Write a lease down as if somebody had taken it."""
    until = timezone.now() + timedelta(seconds=for_seconds)
    VirtualMachine.objects.filter(pk=vm.pk).update(lease_owner=owner, lease_until=until)


def owner_of(pid: int) -> str:
    """Return how a lease names a process of this machine."""
    return f"{lease._node()}|{pid}|{lease._started(pid)}|12345678"


@pytest.fixture
def living() -> Iterator[subprocess.Popen[bytes]]:
    """A process that lives until it is killed."""
    with subprocess.Popen(["sleep", "600"]) as process:
        yield process
        process.kill()


def test_of_many_threads_only_one_at_a_time_looks_at_a_vm_and_none_of_their_wakes_is_lost(engine: Engine) -> None:
    vm = engine.define()
    holders, most, looks = 0, 0, 0
    begun_at: list[float] = []
    finished_look_began_at: list[float] = []
    guard = threading.Lock()

    def look() -> None:
        nonlocal holders, most, looks
        with guard:
            holders += 1
            looks += 1
            most = max(most, holders)
            finished_look_began_at.append(time.monotonic())
        time.sleep(0.002)  # long enough for others to meet it
        with guard:
            holders -= 1

    def wake() -> None:
        for _ in range(10):
            begun_at.append(time.monotonic())
            lease.look_while_leased(vm.pk, look)

    results = at_once([wake] * 8)
    assert results == [None] * 8
    assert most == 1
    # After every wake, a look began: also after those that met somebody at work.
    assert max(finished_look_began_at) >= max(begun_at)
    vm.refresh_from_db()
    assert (vm.lease_owner, vm.look_again) == ("", False)


def test_a_wake_that_meets_a_look_makes_the_holder_look_again(engine: Engine) -> None:
    vm = engine.define()
    looks = 0

    def look() -> None:
        nonlocal looks
        looks += 1
        if looks == 1:
            assert lease.look_while_leased(vm.pk, lambda: pytest.fail("it is leased")) is False

    assert lease.look_while_leased(vm.pk, look) is True
    assert looks == 2


@pytest.mark.parametrize(("asked", "looks"), [("before", 1), ("after", 2)])
def test_a_wake_that_came_before_the_holders_last_look_asks_for_no_other(
    engine: Engine, asked: str, looks: int
) -> None:
    vm = engine.define()
    seen = []

    def look() -> None:
        seen.append(timezone.now())
        if len(seen) == 1 and asked == "before":
            assert lease.ask_holder_to_look_again(vm.pk)
        lease.forget_requests(vm.pk)  # as it does when it is about to look once more
        if len(seen) == 1 and asked == "after":
            assert lease.ask_holder_to_look_again(vm.pk)

    assert lease.look_while_leased(vm.pk, look)
    assert len(seen) == looks


def test_what_a_look_leaves_to_be_written_is_written_with_giving_the_vm_back(engine: Engine) -> None:
    vm = engine.define()

    def rest() -> bool:
        assert connection.in_atomic_block
        assert VirtualMachine.objects.get(pk=vm.pk).lease_owner == ""
        return bool(VirtualMachine.objects.filter(pk=vm.pk).update(description="written"))

    def look() -> lease.Rest:
        assert VirtualMachine.objects.get(pk=vm.pk).lease_owner != ""
        return rest

    assert lease.look_while_leased(vm.pk, look) is True
    vm.refresh_from_db()
    assert (vm.description, vm.lease_owner) == ("written", "")


@pytest.mark.parametrize("how", ["overtaken", "asked to look again"])
def test_what_a_look_leaves_to_be_written_is_dropped_when_another_look_follows(engine: Engine, how: str) -> None:
    vm = engine.define()
    looks: list[str] = []
    rows = VirtualMachine.objects.filter(pk=vm.pk)

    def rest() -> bool:
        rows.update(description=f"after look {len(looks)}")
        return how != "overtaken" or len(looks) > 1

    def look() -> lease.Rest:
        assert rows.get().description == ""
        looks.append(rows.get().lease_owner)
        if how == "asked to look again" and len(looks) == 1:
            assert lease.ask_holder_to_look_again(vm.pk)
        return rest

    assert lease.look_while_leased(vm.pk, look) is True
    assert len(looks) == 2
    assert looks[0] == looks[1] != "", "it was held all the time"
    assert (rows.get().description, rows.get().lease_owner) == ("after look 2", "")


def test_a_wake_whose_cause_was_looked_at_since_is_needless(engine: Engine) -> None:
    vm = engine.define()
    before = timezone.now()
    lease.look_while_leased(vm.pk, lambda: None)
    assert lease.look_while_leased(vm.pk, lambda: pytest.fail("it was looked at since"), since=before) is False
    assert lease.look_while_leased(vm.pk, lambda: None, since=timezone.now()) is True


def test_a_look_that_failed_or_was_killed_makes_no_wake_needless(
    engine: Engine, living: subprocess.Popen[bytes]
) -> None:
    vm = engine.define()
    before = timezone.now()

    def look() -> None:
        raise RuntimeError("it failed")

    with pytest.raises(RuntimeError, match="it failed"):
        lease.look_while_leased(vm.pk, look)
    assert lease.look_while_leased(vm.pk, lambda: None, since=before) is True

    held_by(vm, owner_of(living.pid))
    living.kill()
    wait_until(lambda: lease.look_while_leased(vm.pk, lambda: None, since=before), "it was taken over", timeout=2)


def test_a_look_that_fails_gives_the_vm_back(engine: Engine) -> None:
    vm = engine.define()

    def look() -> None:
        raise RuntimeError("it failed")

    with pytest.raises(RuntimeError, match="it failed"):
        lease.look_while_leased(vm.pk, look)
    assert lease.look_while_leased(vm.pk, lambda: None) is True


@pytest.mark.behaviour(30)
def test_a_look_that_failed_with_the_database_gives_the_vm_back_once_that_is_back(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "_TRY_AGAIN_AFTER", 0.01)
    vm = engine.define()
    refused = 0

    def refuse(execute: Callable[..., Any], *args: Any) -> Any:
        nonlocal refused
        if refused < 3:
            refused += 1
            raise OperationalError("server closed the connection unexpectedly")
        return execute(*args)

    with ExitStack() as away:

        def look() -> None:
            away.enter_context(connection.execute_wrapper(refuse))
            VirtualMachine.objects.get(pk=vm.pk)

        with pytest.raises(OperationalError, match="server closed"):
            lease.look_while_leased(vm.pk, look)
    assert refused == 3
    assert lease.look_while_leased(vm.pk, lambda: None) is True


def test_a_vm_that_does_not_exist_is_not_looked_at(engine: Engine) -> None:
    vm = engine.define()
    pk = vm.pk
    vm.events.all()._raw_delete(using="default")
    vm.delete()
    assert lease.look_while_leased(pk, lambda: pytest.fail("there is no such VM")) is False


@pytest.mark.behaviour(25)
def test_the_lease_of_a_process_that_was_killed_is_taken_over_at_once(
    engine: Engine, living: subprocess.Popen[bytes]
) -> None:
    vm = engine.define()
    held_by(vm, owner_of(living.pid))
    assert lease.look_while_leased(vm.pk, lambda: pytest.fail("its holder lives")) is False
    living.kill()
    # Killed, but perhaps not reaped yet: a zombie acts no more.
    wait_until(lambda: lease.look_while_leased(vm.pk, lambda: None), "the lease was taken over", timeout=2)


def test_the_lease_of_a_process_whose_id_another_one_has_now_is_taken_over(engine: Engine) -> None:
    vm = engine.define()
    held_by(vm, f"{lease._node()}|{os.getpid()}|1|12345678")
    assert lease.look_while_leased(vm.pk, lambda: None) is True


@pytest.mark.parametrize("owner", ["another-machine/0/1|1|1|12345678", None])
def test_a_lease_that_has_run_out_is_taken_over_and_no_other(
    engine: Engine, living: subprocess.Popen[bytes], owner: str | None
) -> None:
    vm = engine.define()
    held_by(vm, owner or owner_of(living.pid), for_seconds=30)
    assert lease.look_while_leased(vm.pk, lambda: pytest.fail("it is leased")) is False
    held_by(vm, owner or owner_of(living.pid), for_seconds=-1)
    assert lease.look_while_leased(vm.pk, lambda: None) is True


def test_who_lost_its_lease_leaves_the_new_holder_alone(engine: Engine) -> None:
    vm = engine.define()

    def look() -> None:
        held_by(vm, "another-machine/0/1|1|1|12345678")

    lease.look_while_leased(vm.pk, look)
    vm.refresh_from_db()
    assert vm.lease_owner.startswith("another-machine")


@pytest.mark.behaviour(23)
def test_a_power_off_that_overtakes_a_start_in_flight_leaves_the_vm_down(engine: Engine) -> None:
    vm = engine.define()
    uuid = str(vm.uuid)
    reboot = actions.reboot(engine.admin, vm)
    engine.fake.control.hold(uuid, "start")
    with forked(lambda: advance(vm.pk)):
        engine.fake.control.wait_held(uuid, "start")
        power_off = actions.power_off(engine.admin, vm)
        # Whoever is woken now meets the lease, and does nothing.
        engine.drain()
        assert engine.calls(vm) == ["ask_agent"]
        engine.fake.control.release(uuid, "start")
        engine.finish(power_off)
    reboot.refresh_from_db()
    assert (reboot.outcome, reboot.superseded_by_id) == (Outcome.SUPERSEDED, power_off.pk)
    assert power_off.outcome == Outcome.FORCED
    assert engine.calls(vm) == ["ask_agent", "start", "destroy"]
    assert engine.status(vm) == VmStatus.DOWN
    assert not engine.runs(vm)


@pytest.mark.behaviour(23)
@pytest.mark.behaviour(25)
def test_a_power_off_that_overtakes_a_start_whose_worker_was_killed_leaves_the_vm_down(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pace, "SETTLE", timedelta(seconds=3))
    vm = engine.define()
    uuid = str(vm.uuid)
    reboot = actions.reboot(engine.admin, vm)
    engine.fake.control.hold(uuid, "start")
    with forked(lambda: advance(vm.pk)) as worker:
        engine.fake.control.wait_held(uuid, "start")
        os.kill(worker, signal.SIGKILL)
    power_off = actions.power_off(engine.admin, vm)
    engine.drain()
    # The VM is down still, and the start is on its way: nobody may say that it was powered off.
    power_off.refresh_from_db()
    assert power_off.active
    engine.fake.control.release(uuid, "start")
    engine.finish(power_off)
    reboot.refresh_from_db()
    assert reboot.outcome == Outcome.SUPERSEDED
    assert engine.calls(vm) == ["ask_agent", "start", "destroy"]
    assert engine.status(vm) == VmStatus.DOWN
    assert not engine.runs(vm)


@pytest.mark.behaviour(25)
@pytest.mark.parametrize("call", ["start", "destroy"])
def test_a_call_in_flight_when_its_worker_was_killed_is_not_sent_again(engine: Engine, call: str) -> None:
    vm = engine.define()
    uuid = str(vm.uuid)
    operation = actions.power_cycle(engine.admin, vm)
    engine.fake.control.hold(uuid, call)
    with forked(lambda: advance(vm.pk)) as worker:
        engine.fake.control.wait_held(uuid, call)
        os.kill(worker, signal.SIGKILL)
    engine.wake(vm.pk)
    engine.drain()
    operation.refresh_from_db()
    assert operation.active
    assert call not in engine.calls(vm)
    engine.fake.control.release(uuid, call)
    engine.finish(operation)
    assert operation.outcome == Outcome.FORCED
    assert engine.calls(vm) == ["destroy", "start"]
    assert engine.status(vm) == VmStatus.UP


def test_a_power_off_that_overtakes_nothing_in_doubt_waits_for_nothing(engine: Engine) -> None:
    vm = engine.define()
    engine.finish(actions.reboot(engine.admin, vm))
    began_at = time.monotonic()
    operation = engine.finish(actions.power_off(engine.admin, vm))
    assert operation.outcome == Outcome.FORCED
    assert time.monotonic() - began_at < pace.SETTLE.total_seconds()


@pytest.mark.behaviour(26)
def test_one_vm_is_rebooted_once_however_many_workers_are_woken_at_once(engine: Engine) -> None:
    vm = engine.define()
    operation = actions.reboot(engine.admin, vm)
    at_once([lambda: advance(vm.pk)] * 6)
    engine.finish(operation)
    assert engine.calls(vm) == ["ask_agent", "start"]
    assert Operation.objects.get().steps.filter(kind=StepKind.START).count() == 1
