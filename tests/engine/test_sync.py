"""What is seen of a VM, and the status that follows: discovery, other hands, hosts away, looks out of order."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.utils import timezone

from tests.engine.harness import Engine
from vms import actions
from vms.domain.observation import UP_WITHOUT_AGENT_AFTER, DomainState, DownReason
from vms.domain.operation import Outcome
from vms.domain.power import VmStatus
from vms.engine import lease, sweep, sync
from vms.engine.advance import advance
from vms.engine.records import Code
from vms.hypervisor import connections
from vms.hypervisor.base import Domain
from vms.hypervisor.fake import STUBBORN, Agent, Temper
from vms.hypervisor.fake.control import Hand
from vms.models import Event, Host, Operation, VirtualMachine


def look(engine: Engine, vm: VirtualMachine) -> Domain:
    """Return what the host shows of a VM now."""
    return connections.get(engine.host.uri).observe(str(vm.uuid))


def fresh(vm: VirtualMachine) -> VirtualMachine:
    """Return a VM as it is stored."""
    return VirtualMachine.objects.select_related("host").get(pk=vm.pk)


def test_the_first_listing_takes_every_domain_in_without_a_flood_of_events(engine: Engine) -> None:
    uuids = engine.fake.control.define_many(5)
    engine.list_domains()
    assert {str(vm.uuid) for vm in VirtualMachine.objects.all()} == set(uuids)
    assert not Event.objects.exists()
    vm = VirtualMachine.objects.get(name="vm-3")
    assert (vm.status, vm.vcpus, vm.memory) == (VmStatus.UP, 1, 128 * 1024 * 1024)
    assert vm.pk == vm.uuid


def test_a_domain_that_appears_later_is_told_of(engine: Engine) -> None:
    engine.define("old")
    vm = engine.define("new", running=False)
    assert engine.codes(vm) == [Code.VM_DISCOVERED]
    assert vm.status == VmStatus.DOWN


def test_two_hosts_may_have_domains_with_the_same_uuid(engine: Engine) -> None:
    vm = engine.define()
    other = Host.objects.create(name="other", uri="fake+unix:///nowhere")
    sync.listing(other, [look(engine, vm)], timezone.now())
    twin = VirtualMachine.objects.get(host=other)
    assert twin.uuid == vm.uuid
    assert twin.pk != vm.pk


def test_a_changed_definition_is_taken_over(engine: Engine) -> None:
    vm = engine.define(running=False)
    engine.fake.control.change(str(vm.uuid), name="renamed", vcpus=4, description="a note")
    engine.run(lambda: fresh(vm).name == "renamed", "the new name is known")
    assert (fresh(vm).vcpus, fresh(vm).description) == (4, "a note")


@pytest.mark.behaviour(19)
def test_a_vm_that_is_undefined_is_gone_and_keeps_its_history(engine: Engine) -> None:
    vm = engine.define()
    operation = engine.finish(actions.reboot(engine.admin, vm))
    engine.undefine(vm)
    engine.run(lambda: engine.status(vm) == VmStatus.GONE, "it is gone")
    engine.list_domains()
    engine.drain()
    assert engine.codes(vm).count(Code.VM_GONE) == 1
    assert vm.operations.get() == operation


def test_a_vm_that_is_defined_again_comes_back(engine: Engine) -> None:
    vm = engine.define()
    engine.undefine(vm)
    engine.run(lambda: engine.status(vm) == VmStatus.GONE, "it is gone")
    engine.fake.control.define("web01", uuid=str(vm.uuid), running=False)
    engine.list_domains()
    assert engine.status(vm) == VmStatus.DOWN
    assert VirtualMachine.objects.count() == 1


@pytest.mark.behaviour(17)
@pytest.mark.parametrize(
    ("verb", "status", "code", "words"),
    [
        ("destroy", VmStatus.DOWN, Code.VM_DOWN, "powered off outside the portal"),
        ("guest_halt", VmStatus.DOWN, Code.VM_DOWN, "the guest shut itself down"),
        ("crash", VmStatus.DOWN, Code.VM_DOWN_WITH_ERROR, "its process died"),
        ("managedsave", VmStatus.SUSPENDED, Code.VM_DOWN, "suspended outside the portal"),
    ],
)
def test_what_another_hand_does_is_one_event_and_nobody_of_the_portal_is_named(
    engine: Engine, verb: Hand, status: VmStatus, code: Code, words: str
) -> None:
    vm = engine.define()
    engine.finish(actions.reboot(engine.admin, vm))
    last = Event.objects.latest("id").pk
    engine.fake.control.hand(str(vm.uuid), verb)
    engine.run(lambda: engine.status(vm) == status, "it shows")
    engine.list_domains()
    event = Event.objects.get(id__gt=last)
    assert (event.code, event.actor, event.actor_name) == (code, None, "")
    assert words in event.message


def test_a_start_by_another_hand_is_told_of(engine: Engine) -> None:
    vm = engine.define(running=False)
    engine.fake.control.hand(str(vm.uuid), "start")
    engine.run(lambda: engine.status(vm) == VmStatus.UP, "it is up")
    assert engine.codes(vm) == [Code.VM_STARTED_ELSEWHERE]
    assert fresh(vm).running_since is not None


@pytest.mark.parametrize(("verb", "status"), [("suspend", VmStatus.PAUSED), ("guest_sleep", VmStatus.UP)])
def test_pausing_and_sleeping_show(engine: Engine, verb: Hand, status: VmStatus) -> None:
    vm = engine.define()
    engine.fake.control.hand(str(vm.uuid), verb)
    engine.run(lambda: fresh(vm).domain_state != DomainState.RUNNING, "it was seen")
    assert engine.status(vm) == status


def test_an_older_look_never_overwrites_a_newer_one(engine: Engine) -> None:
    vm = engine.define()
    older_at, older = timezone.now(), look(engine, vm)
    engine.fake.control.hand(str(vm.uuid), "destroy")
    newer_at, newer = timezone.now(), look(engine, vm)
    sync.apply(fresh(vm), newer, newer_at)
    sync.apply(fresh(vm), older, older_at)
    assert engine.status(vm) == VmStatus.DOWN
    assert engine.codes(vm) == [Code.VM_DOWN]


def test_an_older_look_never_overwrites_a_newer_one_that_found_nothing_new(engine: Engine) -> None:
    """Running, down for a moment, running: the look at that moment arrives last."""
    vm = engine.define()
    seen = look(engine, vm)
    down = replace(seen, seen=replace(seen.seen, state=DomainState.DOWN, down_reason=DownReason.DESTROYED))
    older_at = timezone.now()
    sync.apply(fresh(vm), seen, older_at + timedelta(microseconds=1))
    sync.apply(fresh(vm), down, older_at)
    assert engine.status(vm) == VmStatus.UP
    assert engine.codes(vm) == []


def test_a_look_at_a_host_that_was_removed_meanwhile_writes_nothing(engine: Engine) -> None:
    """Its watcher is at work until it hears of the removal."""
    vm = engine.define()
    actions.remove_host(engine.admin, engine.host)
    engine.fake.control.hand(str(vm.uuid), "destroy")
    sync.apply(fresh(vm), look(engine, vm), timezone.now())
    assert engine.status(vm) == VmStatus.GONE
    assert engine.codes(vm) == []


def test_a_look_that_found_nothing_new_is_made_again_when_an_older_one_was_written_before_it(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Running, down for a moment, running: a list from that moment is written while the worker still has the VM."""
    vm = engine.define()
    seen = look(engine, vm)
    down = replace(seen, seen=replace(seen.seen, state=DomainState.DOWN, down_reason=DownReason.DESTROYED))
    older_at = timezone.now()
    give_back = lease._release

    def give_back_too_late(*args: Any) -> bool:
        monkeypatch.setattr(lease, "_release", give_back)
        sync.apply(fresh(vm), down, older_at)
        assert engine.status(vm) == VmStatus.DOWN
        return give_back(*args)

    monkeypatch.setattr(lease, "_release", give_back_too_late)
    advance(vm.pk)
    assert engine.status(vm) == VmStatus.UP
    observed_at = fresh(vm).observed_at
    assert observed_at is not None
    assert observed_at > older_at


def test_a_list_wakes_an_operation_only_for_what_it_has_not_seen(engine: Engine) -> None:
    vm = engine.define(temper=STUBBORN)
    operation = actions.shut_down(engine.admin, vm, delay=600)
    engine.run(lambda: engine.calls(vm) == ["ask_agent"], "the guest was asked")
    engine.drain()

    def woken(seen: Domain, *, anew: bool = False, after: float = 0) -> list[UUID]:
        return sync.listing(engine.host, [seen], timezone.now() + timedelta(seconds=after), anew=anew)

    as_before = look(engine, vm)
    assert woken(as_before) == []
    assert woken(as_before, anew=True) == [vm.pk], "nobody has listened until now"

    engine.fake.control.hand(str(vm.uuid), "destroy")
    down = look(engine, vm)
    assert woken(down) == [vm.pk], "it shows something new"
    assert woken(down) == [vm.pk], "whoever was woken never looked"

    Operation.objects.filter(pk=operation.pk).update(looked_at=timezone.now())
    assert woken(down) == []
    assert woken(down, after=40) == [vm.pk], "it has not looked for a while"
    assert sync.listing(engine.host, [], timezone.now() + timedelta(seconds=50)) == [vm.pk], "it is gone"


def test_a_look_that_finds_nothing_new_touches_no_event_and_no_status(engine: Engine) -> None:
    vm = engine.define()
    before = engine.codes(vm)
    engine.list_domains()
    engine.list_domains()
    assert (engine.status(vm), engine.codes(vm)) == (VmStatus.UP, before)


@pytest.mark.behaviour(29)
def test_an_unreachable_host_shows_on_its_vms_until_it_answers_again(engine: Engine) -> None:
    vms = [engine.define("one"), engine.define("two", running=False), engine.define("three")]
    engine.undefine(vms[2])
    engine.list_domains()
    other = Host.objects.create(name="other", uri="fake+unix:///nowhere")
    elsewhere = VirtualMachine.objects.create(host=other, uuid=vms[0].uuid, name="elsewhere", status=VmStatus.UP)

    sync.unreachable(engine.host, "no route to host")
    sync.unreachable(engine.host, "no route to host, still")
    assert [engine.status(vm) for vm in vms] == [VmStatus.NOT_RESPONDING, VmStatus.NOT_RESPONDING, VmStatus.GONE]
    assert engine.status(elsewhere) == VmStatus.UP
    engine.host.refresh_from_db()
    assert (engine.host.state, engine.host.error) == (Host.State.UNREACHABLE, "no route to host, still")
    assert Event.objects.filter(code=Code.HOST_FAILURE).count() == 1

    sync.connected(engine.host, connections.get(engine.host.uri).info())
    engine.list_domains()
    # Nothing had changed on the host; that must show as well.
    assert [engine.status(vm) for vm in vms] == [VmStatus.UP, VmStatus.DOWN, VmStatus.GONE]
    assert Event.objects.filter(code=Code.HOST_DETECTED).count() == 1
    engine.host.refresh_from_db()
    assert (engine.host.state, engine.host.error) == (Host.State.CONNECTED, "")


def test_a_host_that_merely_reconnects_is_no_event(engine: Engine) -> None:
    for _ in range(2):
        sync.connected(engine.host, connections.get(engine.host.uri).info())
    assert not Event.objects.exists()


@pytest.mark.behaviour(29)
def test_a_vm_with_a_running_operation_shows_it_again_when_its_host_is_back(engine: Engine) -> None:
    vm = engine.define(temper=STUBBORN)
    actions.reboot(engine.admin, vm, delay=600)
    engine.run(lambda: engine.calls(vm) == ["ask_agent"], "the guest was asked")
    sync.unreachable(engine.host, "away")
    assert engine.status(vm) == VmStatus.NOT_RESPONDING
    sync.connected(engine.host, connections.get(engine.host.uri).info())
    engine.list_domains()
    assert engine.status(vm) == VmStatus.REBOOT_IN_PROGRESS


@pytest.mark.behaviour(35)
def test_a_vm_with_an_agent_is_powering_up_until_its_agent_connects(engine: Engine) -> None:
    vm = engine.define(temper=Temper(agent_late=600))
    assert engine.status(vm) == VmStatus.POWERING_UP
    engine.fake.control.hand(str(vm.uuid), "agent_connect")
    engine.run(lambda: engine.status(vm) == VmStatus.UP, "it is up")


@pytest.mark.behaviour(35)
def test_a_vm_whose_agent_never_connects_is_up_after_a_minute(engine: Engine) -> None:
    vm = engine.define(temper=Temper(agent=Agent.OFF))
    assert engine.status(vm) == VmStatus.POWERING_UP
    sweep.due()
    assert engine.status(vm) == VmStatus.POWERING_UP
    a_minute_ago = timezone.now() - UP_WITHOUT_AGENT_AFTER
    VirtualMachine.objects.filter(pk=vm.pk).update(running_since=a_minute_ago)
    sweep.due()
    assert engine.status(vm) == VmStatus.UP


def test_a_vm_without_an_agent_channel_is_up_as_soon_as_it_runs(engine: Engine) -> None:
    assert engine.status(engine.define(temper=Temper(agent=Agent.NONE))) == VmStatus.UP


@pytest.mark.behaviour(24)
def test_looks_during_an_operation_leave_its_status_alone(engine: Engine) -> None:
    vm = engine.define(temper=STUBBORN)
    actions.shut_down(engine.admin, vm, delay=600)
    engine.list_domains()
    assert engine.status(vm) == VmStatus.POWERING_DOWN
    engine.fake.control.hand(str(vm.uuid), "agent_disconnect")
    engine.list_domains()
    assert engine.status(vm) == VmStatus.POWERING_DOWN


def test_the_status_follows_as_soon_as_the_vm_was_started(engine: Engine) -> None:
    vm = engine.define()
    engine.fake.control.set_temper(str(vm.uuid), Temper(agent_late=600))
    actions.reboot(engine.admin, vm)
    engine.drain()
    assert engine.status(vm) == VmStatus.POWERING_UP


@pytest.mark.behaviour(1)
def test_late_obedience_names_the_delay_that_would_have_been_enough(engine: Engine) -> None:
    vm = engine.define(temper=STUBBORN)
    operation = engine.finish(actions.reboot(engine.admin, vm, delay=1))
    assert operation.outcome == Outcome.GAVE_UP
    seen = look(engine, vm)
    down = replace(seen, seen=replace(seen.seen, state=DomainState.DOWN, down_reason=DownReason.GUEST, run_token=None))
    assert operation.asked_at is not None
    assert operation.ended_at is not None
    asked_at: datetime = operation.asked_at
    sync.apply(fresh(vm), down, asked_at + timedelta(seconds=20.2))
    late = vm.events.get(code=Code.OBEYED_LATE)
    waited = (operation.ended_at - asked_at).total_seconds()
    assert f"went down {round(20.2 - waited)} s after the portal had stopped waiting" in late.message
    assert "A graceful delay of 21 s would have been enough" in late.message
    assert late.operation == operation
    assert late.severity == "warning"
    assert not vm.events.filter(code=Code.VM_DOWN).exists()


def test_a_later_run_that_goes_down_is_not_called_late_obedience(engine: Engine) -> None:
    vm = engine.define(temper=STUBBORN)
    engine.finish(actions.reboot(engine.admin, vm, delay=1))
    engine.fake.control.hand(str(vm.uuid), "destroy")
    engine.fake.control.hand(str(vm.uuid), "start")
    engine.list_domains()
    engine.drain()
    before = Event.objects.latest("id").pk
    engine.fake.control.hand(str(vm.uuid), "guest_halt")
    engine.run(lambda: engine.status(vm) == VmStatus.DOWN, "it is down")
    assert [event.code for event in Event.objects.filter(id__gt=before)] == [Code.VM_DOWN]


@pytest.mark.behaviour(17)
def test_a_restart_by_the_guest_is_one_event_however_often_it_is_reported(engine: Engine) -> None:
    vm = engine.define()
    at = timezone.now()
    for seconds in (0, 0.1, 1):
        sync.guest_reset(vm.pk, at + timedelta(seconds=seconds))
    event = vm.events.get(code=Code.GUEST_RESET)
    assert (event.actor, event.actor_name) == (None, "")
    sync.guest_reset(vm.pk, at + timedelta(seconds=30))
    assert vm.events.filter(code=Code.GUEST_RESET).count() == 2
