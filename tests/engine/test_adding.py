"""Adding VMs: a row first, one domain in the end whatever dies on the way, and words where there is none."""

from __future__ import annotations

import queue
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser, Permission, User
from django.core.exceptions import PermissionDenied
from django.utils import timezone

from tests.engine.death import work_until_killed
from tests.engine.harness import Engine, at_once
from vms import actions
from vms.domain.configuration import MIB, Part
from vms.domain.decide import pace
from vms.domain.errors import ConfigurationError, PolicyError
from vms.domain.operation import Outcome
from vms.domain.policy import Setting
from vms.domain.power import Action, VmStatus
from vms.engine import adding, sync
from vms.engine.records import Code
from vms.hypervisor import connections
from vms.models import Addition, Assignment, Event, Host, Operation, Role, VirtualMachine

Person = Callable[..., User]
VALUES: dict[Part, Any] = {Part.MEMORY: 256 * MIB, Part.VCPUS: 2, Part.DESCRIPTION: "The shop"}
#: Points at which a worker can die: it takes the VM, writes the call down, makes it, writes its end and the look.
_LEAST_POINTS = 5


@pytest.fixture(autouse=True)
def _in_haste(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a host that answers, and wait for nothing longer than a test needs."""
    sync.connected(engine.host, connections.get(engine.host.uri).info())
    monkeypatch.setattr(pace, "SETTLE", timedelta(seconds=0.3))
    monkeypatch.setattr(pace, "RETRY_GAPS", (timedelta(seconds=0.05),) * 3)
    monkeypatch.setattr(adding, "_UNREACHABLE_GAP", timedelta(seconds=0.2))


def added(engine: Engine, name: str = "web01", **how: Any) -> VirtualMachine:
    """Add a VM; nobody has worked for it yet."""
    return actions.add_vm(engine.admin, name, VALUES, **how)


def work(engine: Engine, vm: VirtualMachine) -> VirtualMachine:
    """Work until an addition has ended, one way or the other, and return the VM as it is then."""

    def ended() -> bool:
        return not Addition.objects.filter(vm=vm, state=Addition.State.WAITING).exists()

    engine.run(ended, "the addition has ended")
    engine.drain()
    vm.refresh_from_db()
    return vm


def at_rest(engine: Engine, vm: VirtualMachine) -> bool:
    """Say whether a VM is down and nobody has it in hand."""
    return engine.status(vm) == VmStatus.DOWN and not vm.lease_owner


def on_host(engine: Engine, name: str) -> list[str]:
    """Return the UUIDs of the domains of this name, by the host's own word."""
    return [domain.uuid for domain in connections.get(engine.host.uri).domains() if domain.name == name]


def calls(engine: Engine, vm: VirtualMachine) -> list[bool]:
    """Return for each time that the host was asked to define a VM whether it made a difference."""
    return [entry.effect for entry in engine.fake.control.log(str(vm.uuid), names=("define",), call=True)]


def role_on(host: Host | None, user: User, *verbs: str) -> User:
    """Give somebody these verbs on a host's VMs, or everywhere."""
    role = Role.objects.create(name=f"{user} on {host}")
    role.verbs.set(Permission.objects.filter(codename__in=verbs))
    Assignment.objects.create(role=role, user=user, host=host)
    return User.objects.get(pk=user.pk)


def test_it_is_there_at_once_locked_and_down_when_its_host_has_it(engine: Engine) -> None:
    vm = added(engine, setting=Setting(True, 30), stateless=True, correlation_id="abc")
    assert (engine.status(vm), vm.get_status_display()) == (VmStatus.IMAGE_LOCKED, "Adding")
    assert on_host(engine, "web01") == [], "no web request asks a host"
    work(engine, vm)
    assert (vm.status, vm.get_status_display(), vm.being_added) == (VmStatus.DOWN, "Down", False)
    assert (vm.memory, vm.vcpus, vm.description, vm.stored.boot) == (256 * MIB, 2, "The shop", ("hd",))
    assert (vm.policy_setting, vm.stateless) == (Setting(True, 30), True)
    assert on_host(engine, "web01") == [str(vm.uuid)] == [str(vm.pk)]
    event = Event.objects.get(vm=vm)
    assert (event.code, event.actor, event.correlation_id) == (Code.VM_ADDED, engine.admin, "abc")
    assert event.message == "web01 was added to fake by admin."
    assert calls(engine, vm) == [True]


def test_it_runs_like_any_other(engine: Engine) -> None:
    vm = work(engine, added(engine))
    assert engine.finish(actions.run(engine.admin, vm)).outcome == Outcome.DONE
    assert engine.status(vm) == VmStatus.UP


def test_nothing_can_be_asked_of_it_before(engine: Engine) -> None:
    vm = added(engine)
    for action in Action:
        with pytest.raises(actions.Refused, match="because it is Adding"):
            actions.request(engine.admin, vm, action)
    assert not Operation.objects.exists()


@pytest.mark.behaviour(25)
def test_killed_anywhere_there_is_one_of_it_in_the_end(engine: Engine) -> None:
    points = range(1, 17)
    vms = {point: added(engine, f"vm{point}") for point in points}
    engine.wakes = queue.Queue()
    killed = set(work_until_killed({vm.pk: point for point, vm in vms.items()}))
    reached = max(point for point, vm in vms.items() if vm.pk in killed)
    assert _LEAST_POINTS <= reached < max(points), "the points are not all found"
    for point, vm in vms.items():
        case = f"killed at {point}"
        work(engine, vm)
        engine.list_domains()
        engine.run(partial(at_rest, engine, vm), case)
        assert on_host(engine, vm.name) == [str(vm.uuid)], case
        assert calls(engine, vm).count(True) == 1, case
        assert engine.codes(vm) == [Code.VM_ADDED], case


@pytest.mark.behaviour(25)
def test_a_call_that_may_be_on_its_way_is_waited_for(engine: Engine) -> None:
    vm = added(engine)
    Addition.objects.update(called_at=timezone.now())
    engine.drain()
    assert (engine.status(vm), calls(engine, vm)) == (VmStatus.IMAGE_LOCKED, [])
    assert work(engine, vm).status == VmStatus.DOWN


@pytest.mark.behaviour(25)
def test_one_that_was_seen_and_removed_meanwhile_is_not_made_again(engine: Engine) -> None:
    vm = added(engine)
    connections.get(engine.host.uri).define(str(vm.uuid), vm.name, vm.stored)
    engine.list_domains()
    assert engine.status(vm) == VmStatus.DOWN
    engine.fake.control.hand(str(vm.uuid), "undefine")
    work(engine, vm)
    assert (vm.status, on_host(engine, "web01")) == (VmStatus.GONE, [])
    assert engine.codes(vm) == [Code.VM_ADDED, Code.VM_GONE]


def test_whom_nobody_wakes_the_sweep_finds(engine: Engine) -> None:
    vm = added(engine)
    engine.wakes = queue.Queue()
    assert work(engine, vm).status == VmStatus.DOWN


def test_a_list_of_its_host_that_lacks_it_tells_nothing(engine: Engine) -> None:
    vm = added(engine)
    engine.list_domains()
    assert engine.status(vm) == VmStatus.IMAGE_LOCKED
    assert engine.codes(vm) == []
    assert work(engine, vm).status == VmStatus.DOWN


def test_while_its_host_is_away_it_waits(engine: Engine) -> None:
    vm = added(engine)
    engine.fake.control.refuse_connections()
    engine.drain()
    sync.unreachable(engine.host, "away")
    assert engine.status(vm) == VmStatus.IMAGE_LOCKED
    engine.fake.control.refuse_connections(refuse=False)
    assert work(engine, vm).status == VmStatus.DOWN
    assert calls(engine, vm) == [True]


def test_a_host_that_stays_away_is_given_up_and_its_name_is_free(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    vm = added(engine)
    engine.fake.control.refuse_connections()
    with monkeypatch.context() as soon:
        soon.setattr(adding, "GIVE_UP_AFTER", timedelta(0))
        work(engine, vm)
    assert (vm.status, vm.being_added) == (VmStatus.GONE, False)
    assert vm.removed_at is not None
    event = Event.objects.get(vm=vm)
    assert (event.code, event.severity) == (Code.VM_ADD_FAILED, Event.Severity.ERROR)
    assert "web01 could not be added to fake (asked for by admin)." in event.message
    engine.fake.control.refuse_connections(refuse=False)
    assert work(engine, added(engine)).status == VmStatus.DOWN


def test_a_host_that_is_busy_is_asked_again(engine: Engine) -> None:
    vm = added(engine)
    engine.fake.control.fail(str(vm.uuid), "define", times=3, text="cannot acquire state change lock")
    assert work(engine, vm).status == VmStatus.DOWN
    assert Addition.objects.get().attempts == 3


def test_one_that_never_takes_it_is_given_up_with_its_words(engine: Engine) -> None:
    vm = added(engine)
    engine.fake.control.fail(str(vm.uuid), "define", times=100, text="no space left on device")
    work(engine, vm)
    assert (vm.status, engine.codes(vm)) == (VmStatus.GONE, [Code.VM_ADD_FAILED])
    assert "The host said: no space left on device" in Event.objects.get(vm=vm).message


def test_a_name_that_only_the_host_knows_to_be_taken_ends_it_at_once(engine: Engine) -> None:
    other = engine.fake.control.define("web01")
    vm = work(engine, added(engine))
    assert (vm.status, on_host(engine, "web01"), calls(engine, vm)) == (VmStatus.GONE, [other], [False])
    assert "is there already" in Event.objects.get(vm=vm, code=Code.VM_ADD_FAILED).message


def test_a_host_that_is_removed_takes_along_what_waits_for_it(engine: Engine) -> None:
    vm = added(engine)
    actions.remove_host(engine.admin, engine.host)
    engine.drain()
    vm.refresh_from_db()
    assert (vm.status, vm.being_added) == (VmStatus.GONE, False)
    assert Addition.objects.get().state == Addition.State.FAILED
    assert "The host was removed from the portal." in Event.objects.get(code=Code.VM_ADD_FAILED).message


# Who may, where, and what is refused.


def test_a_name_is_given_once_also_on_another_host_and_free_when_its_vm_is_gone(engine: Engine) -> None:
    vm = engine.define("web01")
    other = Host.objects.create(name="other", uri="fake+unix:///other", state=Host.State.CONNECTED)
    for hosts in (None, [engine.host], [other]):
        with pytest.raises(actions.Refused, match="The VM name is already in use"):
            added(engine, "web01", hosts=hosts)
    engine.undefine(vm)
    engine.list_domains()
    assert engine.status(vm) == VmStatus.GONE
    assert work(engine, added(engine, "web01", hosts=[engine.host])).status == VmStatus.DOWN


def test_of_many_who_ask_for_one_name_at_once_one_gets_it(engine: Engine) -> None:
    results = at_once([partial(added, engine, "web01")] * 4)
    assert sum(isinstance(result, VirtualMachine) for result in results) == 1, results
    assert sum(isinstance(result, actions.Refused) for result in results) == 3, results
    assert VirtualMachine.objects.count() == 1


@pytest.mark.parametrize(
    ("how", "refusal"),
    [
        ({"name": "web 01"}, ConfigurationError),
        ({"values": {Part.MEMORY: 1}}, ConfigurationError),
        ({"setting": Setting(False, 0)}, PolicyError),
    ],
)
def test_what_cannot_be_is_not_written_down(engine: Engine, how: dict[str, Any], refusal: type[Exception]) -> None:
    with pytest.raises(refusal):
        actions.add_vm(engine.admin, **({"name": "web01", "values": VALUES} | how))
    assert not VirtualMachine.objects.exists()


def test_adding_needs_its_own_permission_and_to_see_what_is_added(engine: Engine, person: Person) -> None:
    others = ("view_vm", "change_vm", "remove_vm", "run_vm", "add_host")
    for who in (person(*others, name="others"), person("add_vm", name="blind"), AnonymousUser()):
        with pytest.raises(PermissionDenied):
            actions.add_vm(who, "web01", VALUES)
    assert not VirtualMachine.objects.exists()
    adder = person("add_vm", "view_vm", name="adder")
    assert work(engine, actions.add_vm(adder, "web01", VALUES)).status == VmStatus.DOWN


def test_on_a_host_it_holds_on_that_host_alone(engine: Engine, person: Person) -> None:
    other = Host.objects.create(name="another", uri="fake+unix:///other", state=Host.State.CONNECTED)
    here = role_on(engine.host, person(name="here"), "add_vm", "view_vm")
    with pytest.raises(PermissionDenied):
        actions.add_vm(here, "web01", VALUES, hosts=[other])
    # The other one has fewer VMs.
    engine.define("web00")
    assert actions.add_vm(here, "web01", VALUES).host == engine.host
    assert actions.add_vm(here, "web02", VALUES, hosts=[other, engine.host]).host == engine.host


def test_the_host_with_the_fewest_vms_gets_it(engine: Engine) -> None:
    other = Host.objects.create(name="another", uri="fake+unix:///other", state=Host.State.CONNECTED)
    engine.define("web00")
    # One here, none there; then one each, of which the first by name is taken.
    assert [added(engine, f"vm{number}").host for number in range(3)] == [other, other, engine.host]
    assert added(engine, "named", hosts=[engine.host]).host == engine.host


def test_a_host_that_does_not_answer_is_passed_over(engine: Engine) -> None:
    Host.objects.update(state=Host.State.UNREACHABLE)
    with pytest.raises(actions.Refused, match="No host that it could be added to answers"):
        added(engine)
    assert not VirtualMachine.objects.exists()
