"""The watcher's own threads on the fake host: events become wakes, and nothing that goes wrong ends the watching."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from functools import partial
from os import kill
from typing import Any

import pytest
from django.db import OperationalError
from django.utils import timezone

from tests.engine.harness import Engine
from tests.support.fake import FakeDaemon
from tests.support.waiting import wait_until
from vms import actions, tasks, watcher
from vms.domain.operation import Failure, Outcome, Stage
from vms.domain.power import Action, VmStatus
from vms.engine import journal, sync
from vms.engine.records import Code
from vms.hypervisor.fake import STUBBORN, Reaction, Temper
from vms.models import Event, Host, Operation, OperationStep, VirtualMachine
from vms.watcher import Watcher


@pytest.fixture
def other(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeDaemon]:
    """A second fake host."""
    daemon = FakeDaemon(tmp_path_factory.mktemp("other"))
    daemon.start()
    yield daemon
    daemon.close()


@pytest.fixture
def watch(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watcher]:
    """The watcher, at work on the hosts in the database; the engine hears nothing but through it."""
    engine.hears = False
    monkeypatch.setattr(watcher, "_LOOK_FOR_HOSTS_EVERY", 0.1)
    monkeypatch.setattr(watcher, "_RECONNECT_AFTER", 0.1)
    monkeypatch.setattr(watcher, "_SIGN_OF_LIFE_EVERY", 0.2)
    subject = Watcher()
    thread = threading.Thread(target=subject.run, name="watcher")
    thread.start()
    wait_until(lambda: connected(engine.host), "the host is watched", timeout=20)
    yield subject
    subject.stop()
    thread.join(10)
    assert not thread.is_alive()
    for each in threading.enumerate():
        if each.name.startswith("watch "):
            each.join(10)
            assert not each.is_alive(), each.name


def connected(host: Host) -> bool:
    """Say whether a host is shown as connected, and heard."""
    host.refresh_from_db()
    heard = host.watched_until is not None and host.watched_until > timezone.now()
    return host.state == Host.State.CONNECTED and heard


def found(name: str) -> Callable[[], VirtualMachine | None]:
    """Return a look for a VM by its name."""
    return lambda: VirtualMachine.objects.filter(name=name).first()


def shows(vm: VirtualMachine, status: VmStatus) -> Callable[[], bool]:
    """Return a look for a VM's status."""
    return lambda: VirtualMachine.objects.get(pk=vm.pk).status == status


def stage(operation: Operation) -> str:
    """Return how far an operation is."""
    operation.refresh_from_db()
    return operation.stage


@pytest.fixture
def vm(engine: Engine, watch: Watcher) -> VirtualMachine:
    """A VM that ignores everything, found by the watcher."""
    define(engine.fake, "web01", STUBBORN)
    return wait_until(found("web01"), "the VM was found")


def define(fake: FakeDaemon, name: str, temper: Temper | None = None, **fields: Any) -> str:
    """Define a domain, and send the event that libvirt sends for it."""
    uuid = fake.control.define(name, temper, **fields)
    fake.control.change(uuid, description="new")
    return uuid


def test_a_domain_that_is_defined_is_found_and_told_of(engine: Engine, vm: VirtualMachine) -> None:
    assert vm.status == VmStatus.UP
    assert engine.codes(vm) == [Code.VM_DISCOVERED]


def test_an_event_wakes_the_operation_that_waits_for_it(engine: Engine, vm: VirtualMachine) -> None:
    operation = actions.reboot(engine.admin, vm, delay=600)
    engine.run(lambda: engine.calls(vm) == ["ask_agent"], "the guest was asked")
    engine.fake.control.hand(str(vm.uuid), "guest_halt")
    assert engine.finish(operation, timeout=3).outcome == Outcome.CLEAN_AGENT


def test_an_event_without_an_operation_is_looked_at_by_the_watcher_itself(engine: Engine, vm: VirtualMachine) -> None:
    engine.fake.control.hand(str(vm.uuid), "guest_halt")
    wait_until(shows(vm, VmStatus.DOWN), "it shows")
    engine.fake.control.hand(str(vm.uuid), "start")
    wait_until(shows(vm, VmStatus.UP), "it shows")
    assert engine.codes(vm)[1:] == [Code.VM_DOWN, Code.VM_STARTED_ELSEWHERE]
    assert engine.wakes.empty()


@pytest.mark.behaviour(17)
def test_a_guest_that_restarts_itself_is_one_event(engine: Engine, vm: VirtualMachine) -> None:
    engine.fake.control.hand(str(vm.uuid), "guest_reboot")
    wait_until(lambda: Code.GUEST_RESET in engine.codes(vm), "it was told of")
    assert engine.codes(vm).count(Code.GUEST_RESET) == 1


@pytest.mark.behaviour(16)
@pytest.mark.parametrize("action", [Action.SHUT_DOWN, Action.REBOOT])
def test_a_guest_that_restarts_instead_of_going_down_is_told_of_in_the_record(
    engine: Engine, vm: VirtualMachine, action: Action
) -> None:
    engine.fake.control.set_temper(str(vm.uuid), Temper(slow=0.3, told_to_halt=Reaction.REBOOT))
    operation = engine.finish(actions.request(engine.admin, vm, action))
    wait_until(lambda: operation.steps.filter(kind="reset_instead").exists(), "the record says so")
    assert operation.outcome == Outcome.CLEAN_AGENT
    assert engine.runs(vm) is (action is Action.REBOOT)
    event = vm.events.get(code=Code.GUEST_RESET)
    assert "restarted itself instead of shutting down" in event.message
    assert (event.operation, event.actor, event.actor_name) == (operation, None, "")
    assert operation.steps.filter(kind="reset_instead").count() == 1


@pytest.mark.behaviour(17)
def test_a_guest_that_restarts_itself_while_it_comes_up_is_told_of(engine: Engine, vm: VirtualMachine) -> None:
    uuid = str(vm.uuid)
    engine.fake.control.set_temper(uuid, Temper(agent_late=600))
    operation = actions.reboot(engine.admin, vm, delay=600)
    engine.run(lambda: stage(operation) == Stage.COMING_UP, "it comes up")
    engine.fake.control.hand(uuid, "guest_reboot")
    wait_until(lambda: Code.GUEST_RESET in engine.codes(vm), "it was told of")
    engine.fake.control.hand(uuid, "agent_connect")
    assert engine.finish(operation).succeeded
    assert not operation.steps.filter(kind="reset_instead").exists()


@pytest.mark.behaviour(25)
def test_a_start_whose_worker_died_is_not_sent_again_when_its_vm_went_down_before_anybody_looked(
    engine: Engine, vm: VirtualMachine
) -> None:
    class Died(BaseException):
        """The worker was killed."""

    answer = journal.answer

    def die_in_the_start(step: OperationStep, **fields: Any) -> None:
        if step.kind == "start":
            raise Died
        answer(step, **fields)

    uuid = str(vm.uuid)
    engine.fake.control.set_temper(uuid, Temper(slow=0.3))
    operation = actions.reboot(engine.admin, vm)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(journal, "answer", die_in_the_start)
        with pytest.raises(Died):
            engine.finish(operation)
    wait_until(lambda: stage(operation) == Stage.COMING_UP, "somebody heard it start")
    engine.fake.control.hand(uuid, "guest_halt")
    engine.finish(operation)
    assert (operation.outcome, operation.failure) == (Outcome.FAILED, Failure.WENT_DOWN_AGAIN)
    assert engine.calls(vm).count("start") == 1


@pytest.mark.behaviour(19)
def test_a_vm_that_is_undefined_is_gone(engine: Engine, vm: VirtualMachine) -> None:
    engine.undefine(vm)
    wait_until(shows(vm, VmStatus.GONE), "it is gone")


@pytest.mark.behaviour(29)
def test_a_host_that_goes_away_and_comes_back_is_listed_anew(engine: Engine, vm: VirtualMachine) -> None:
    uuid = str(vm.uuid)
    engine.fake.control.refuse_connections()
    wait_until(shows(vm, VmStatus.NOT_RESPONDING), "it shows that its host is away")
    engine.fake.control.hand(uuid, "guest_halt")
    late = engine.fake.control.define("late")
    engine.fake.control.refuse_connections(False)
    wait_until(shows(vm, VmStatus.DOWN), "what happened meanwhile was found", timeout=15)
    assert wait_until(found("late"), "what is new was found").uuid.hex == late.replace("-", "")
    codes = list(Event.objects.filter(host=engine.host).order_by("id").values_list("code", flat=True))
    assert codes.count(Code.HOST_FAILURE) == codes.count(Code.HOST_DETECTED) == 1


@pytest.mark.behaviour(29)
def test_a_connection_that_is_cut_is_made_again_and_vms_show_what_they_are(engine: Engine, vm: VirtualMachine) -> None:
    for _ in range(3):
        engine.fake.control.drop_connections()
        wait_until(lambda: not connected(engine.host), "the loss was noticed")
        wait_until(lambda: connected(engine.host), "the host is watched again")
        wait_until(shows(vm, VmStatus.UP), "it is up again")
    engine.fake.control.hand(str(vm.uuid), "guest_halt")
    wait_until(shows(vm, VmStatus.DOWN), "events are heard again")


@pytest.mark.behaviour(25)
def test_what_a_guest_did_while_the_connection_was_cut_wakes_its_operation(engine: Engine, vm: VirtualMachine) -> None:
    operation = actions.reboot(engine.admin, vm, delay=600)
    engine.run(lambda: engine.calls(vm) == ["ask_agent"], "the guest was asked")
    engine.drain()
    engine.fake.control.refuse_connections()
    engine.fake.control.hand(str(vm.uuid), "guest_halt")
    engine.fake.control.refuse_connections(False)
    assert engine.finish(operation, timeout=15).succeeded


@pytest.mark.behaviour(25)
def test_a_host_daemon_that_is_killed_and_started_again_is_watched_again(engine: Engine, vm: VirtualMachine) -> None:
    operation = actions.reboot(engine.admin, vm, force=True, delay=4)
    engine.run(lambda: engine.calls(vm) == ["ask_agent"], "the guest was asked")
    for _ in range(2):
        engine.fake.kill()
        wait_until(lambda: not connected(engine.host), "the loss was noticed", timeout=15)
        engine.fake.start()
        wait_until(lambda: connected(engine.host), "the host is watched again", timeout=15)
    engine.finish(operation)
    assert operation.outcome == Outcome.FORCED
    assert engine.calls(vm, effect=True) == ["destroy", "start"]
    engine.fake.control.hand(str(vm.uuid), "guest_halt")
    wait_until(shows(vm, VmStatus.DOWN), "events are heard again")


@pytest.mark.behaviour(29)
def test_a_host_that_hangs_does_not_slow_another(engine: Engine, vm: VirtualMachine, other: FakeDaemon) -> None:
    second = Host.objects.create(name="second", uri=other.uri)
    uuid = define(other, "db01")
    db = wait_until(found("db01"), "the second host is watched")
    engine.fake.control.hang()
    other.control.hand(uuid, "guest_halt")
    wait_until(shows(db, VmStatus.DOWN), "the second host's events are heard", timeout=3)
    wait_until(shows(vm, VmStatus.NOT_RESPONDING), "the hang was noticed", timeout=30)
    assert connected(second)
    engine.fake.control.hang(False)
    wait_until(shows(vm, VmStatus.UP), "the first host is back", timeout=30)


def test_a_host_that_is_added_is_watched_and_one_that_is_removed_is_let_go(
    engine: Engine, watch: Watcher, other: FakeDaemon
) -> None:
    second = Host.objects.create(name="second", uri=other.uri)
    wait_until(lambda: connected(second), "the new host is watched", timeout=15)
    second.events.all()._raw_delete(using="default")
    second.delete()
    wait_until(lambda: not other.control.clients(), "nobody is connected to it any more", timeout=15)
    assert connected(engine.host)


def test_a_host_whose_address_changes_is_watched_at_its_new_one(
    engine: Engine, watch: Watcher, other: FakeDaemon
) -> None:
    other.control.define("moved")
    Host.objects.filter(pk=engine.host.pk).update(uri=other.uri)
    wait_until(found("moved"), "the new address is watched", timeout=15)


def test_a_host_that_is_removed_and_added_again_at_once_is_listed_anew(engine: Engine, vm: VirtualMachine) -> None:
    actions.remove_host(engine.admin, engine.host)
    assert shows(vm, VmStatus.GONE)()
    actions.add_host(engine.admin, name="again", uri=engine.host.uri)
    wait_until(lambda: connected(engine.host), "it is watched again")
    wait_until(shows(vm, VmStatus.UP), "its VM is back")


@pytest.mark.behaviour(29)
def test_a_host_that_hangs_while_its_address_changes_writes_nothing_more(
    engine: Engine, vm: VirtualMachine, other: FakeDaemon
) -> None:
    """Its thread notices the hang later, when the host is watched at its new address by another one."""
    other.control.define("web01", STUBBORN, uuid=str(vm.uuid))
    engine.fake.control.hang()
    Host.objects.filter(pk=engine.host.pk).update(uri=other.uri, state=Host.State.NEW)
    engine.host.refresh_from_db()
    wait_until(lambda: connected(engine.host), "the new address is watched", timeout=15)
    wait_until(lambda: watching() == 1, "the old thread has ended", timeout=30)
    assert connected(engine.host)
    assert shows(vm, VmStatus.UP)()
    assert not Event.objects.filter(code=Code.HOST_FAILURE).exists()


@pytest.mark.behaviour(29)
def test_hosts_that_hang_and_are_removed_leave_no_thread_behind(
    engine: Engine, watch: Watcher, other: FakeDaemon
) -> None:
    for number in range(3):
        other.control.hang(False)
        host = Host.objects.create(name=f"hung{number}", uri=f"{other.uri}&n={number}")
        wait_until(partial(connected, host), "it is watched", timeout=15)
        other.control.hang()
        Host.objects.filter(pk=host.pk).update(removed_at=timezone.now())
    wait_until(lambda: watching() == 1, "only the host that is left is watched", timeout=30)
    wait_until(lambda: connecting() == 0, "no attempt to connect is left", timeout=30)


def watching() -> int:
    """Return how many threads watch hosts."""
    return sum(each.name.startswith("watch ") for each in threading.enumerate())


def connecting() -> int:
    """Return how many threads try to connect."""
    return sum(each.name == "connect-to-host" for each in threading.enumerate())


@pytest.mark.behaviour(30)
def test_a_database_that_fails_for_a_while_ends_no_thread(
    engine: Engine, vm: VirtualMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = []
    apply = sync.apply

    def fail(*args: object) -> None:
        failures.append(args)
        raise OperationalError("database is locked")

    monkeypatch.setattr(sync, "apply", fail)
    engine.fake.control.hand(str(vm.uuid), "guest_halt")
    wait_until(lambda: failures, "the database has failed")
    monkeypatch.setattr(sync, "apply", apply)
    wait_until(shows(vm, VmStatus.DOWN), "it was listed anew")


@pytest.mark.behaviour(29)
def test_a_domain_that_cannot_be_looked_at_says_nothing_of_its_host(engine: Engine, vm: VirtualMachine) -> None:
    define(engine.fake, "web02")
    neighbour = wait_until(found("web02"), "the neighbour was found")
    engine.fake.control.fail(str(vm.uuid), "observe", times=1, text="internal error: cannot read the domain")
    engine.fake.control.hand(str(vm.uuid), "suspend")
    engine.fake.control.hand(str(neighbour.uuid), "suspend")
    wait_until(shows(neighbour, VmStatus.PAUSED), "the neighbour's event was heard")
    assert connected(engine.host)
    assert not Event.objects.filter(code=Code.HOST_FAILURE).exists()


@pytest.mark.behaviour(25)
def test_without_a_broker_the_operation_is_made_due(
    engine: Engine, vm: VirtualMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    operation = actions.reboot(engine.admin, vm, delay=600)
    engine.run(lambda: engine.calls(vm) == ["ask_agent"], "the guest was asked")
    engine.drain()
    monkeypatch.setattr(tasks, "wake", lambda vm_id, queue="", **_: False)
    engine.fake.control.hand(str(vm.uuid), "guest_halt")
    wait_until(lambda: Operation.objects.filter(pk=operation.pk, wake_at__lte=timezone.now()), "it is due")


@pytest.mark.behaviour(25)
def test_a_daemon_that_stands_still_for_a_moment_loses_nothing(engine: Engine, vm: VirtualMachine) -> None:
    kill(engine.fake.pid, signal.SIGSTOP)
    kill(engine.fake.pid, signal.SIGCONT)
    engine.fake.control.hand(str(vm.uuid), "guest_halt")
    wait_until(shows(vm, VmStatus.DOWN), "it shows")


def test_guests_of_every_temper_are_found_in_the_status_they_are_in(engine: Engine, watch: Watcher) -> None:
    define(engine.fake, "late", Temper(agent_late=600))
    define(engine.fake, "down", running=False)
    late = wait_until(found("late"), "it was found")
    down = wait_until(found("down"), "it was found")
    assert (late.status, down.status) == (VmStatus.POWERING_UP, VmStatus.DOWN)
    engine.fake.control.hand(str(late.uuid), "agent_connect")
    wait_until(shows(late, VmStatus.UP), "its agent was heard")
