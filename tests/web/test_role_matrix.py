"""Every role, every verb, every surface: what a role gives is offered and done wherever it can be asked for, and what
it does not give nowhere."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse

from tests.support.scene import LogIn, MakeOperation, MakeVm
from vms.domain.observation import DomainState
from vms.domain.power import Action, VmStatus
from vms.live import rendering, viewers
from vms.live.viewers import Viewer
from vms.models import Assignment, Event, Host, Operation, Role, VirtualMachine
from vms.permissions import ACTION_PERMISSION, CHANGE, CONSOLE, VIEW, VIEW_EVENTS, VIEW_OPERATIONS

#: Each action with a status in which nothing but a missing permission stands in its way.
STATUS: dict[Action, VmStatus] = {
    Action.RUN: VmStatus.DOWN,
    Action.RUN_ONCE: VmStatus.DOWN,
    Action.SHUT_DOWN: VmStatus.UP,
    Action.POWER_OFF: VmStatus.UP,
    Action.REBOOT: VmStatus.UP,
    Action.POWER_CYCLE: VmStatus.UP,
    Action.SUSPEND: VmStatus.UP,
    Action.RESUME: VmStatus.PAUSED,
    Action.REMOVE: VmStatus.DOWN,
}
SEEING = frozenset({VIEW, VIEW_OPERATIONS, VIEW_EVENTS, "vms.view_host"})
OPERATING = SEEING | {ACTION_PERMISSION[action] for action in Action if action is not Action.REMOVE} | {CONSOLE}
#: The roles that come with the portal; one for each verb alone, with what it takes to see the VM; and none at all.
ROLES: dict[str, frozenset[str]] = {
    "Viewer": SEEING,
    "Operator": OPERATING,
    "Manager": OPERATING | {CHANGE, ACTION_PERMISSION[Action.REMOVE]},
    "nothing": frozenset(),
    **{f"only {verb}": SEEING | {verb} for verb in sorted({*ACTION_PERMISSION.values(), CHANGE, CONSOLE})},
}


@dataclass
class Somebody:
    """Who was given a role on one VM, and what they ask with."""

    client: Client
    user: User
    verbs: frozenset[str]


@pytest.fixture(params=ROLES)
def somebody(request: pytest.FixtureRequest, vm: VirtualMachine, log_in: LogIn) -> Somebody:
    """Somebody with one of the roles on `vm`, who may come into Django admin."""
    verbs = ROLES[request.param]
    role = Role.objects.filter(name=request.param).first()
    if role is None:
        role = Role.objects.create(name=request.param)
        role.verbs.set(Permission.objects.filter(codename__in=[verb.removeprefix("vms.") for verb in verbs]))
    user = User.objects.create_user("pia", password="a password", is_staff=True)
    Assignment.objects.create(role=role, user=user, vm=vm)
    return Somebody(log_in(user), user, verbs)


@pytest.fixture
def hidden(make_vm: MakeVm) -> VirtualMachine:
    """A VM that nobody here was given anything on."""
    return make_vm("secret01", host=Host.objects.create(name="kvm2", uri="qemu+ssh://kvm2/system"))


@pytest.fixture(params=Action)
def action(request: pytest.FixtureRequest, vm: VirtualMachine, hidden: VirtualMachine) -> Action:
    """Each action, with both VMs in a status that allows it."""
    wanted: Action = request.param
    VirtualMachine.objects.filter(pk__in=[vm.pk, hidden.pk]).update(status=STATUS[wanted])
    return wanted


def test_each_action_is_offered_and_done_where_it_was_given(
    somebody: Somebody, action: Action, vm: VirtualMachine, hidden: VirtualMachine, woken: list[Any]
) -> None:
    client, url = somebody.client, reverse("vm_action", args=[action])
    may = ACTION_PERMISSION[action] in somebody.verbs
    sees = VIEW in somebody.verbs
    # Offered: the toolbar, the menu, Django admin.
    for name, query in (("vm_toolbar", f"?vm={vm.pk}"), ("vm_menu", "")):
        answer = client.get(reverse(name, args=[vm.pk] if name == "vm_menu" else []) + query)
        if not sees:
            assert answer.status_code in (403, 404)
            continue
        assert (url in answer.content.decode()) is may, name
    changelist = reverse("admin:vms_virtualmachine_changelist")
    if sees:
        assert (f'value="ask_{action}"' in client.get(changelist).content.decode()) is may
        led = client.post(changelist, {"action": f"ask_{action}", "_selected_action": [str(vm.pk)]})
        assert (url in led.headers.get("Location", "")) is may
    # Shown and done: the dialog, its plan, the request itself.
    asking = {"vm": str(vm.pk)}
    for answer in (client.get(url, asking), client.get(f"{url}plan/", asking)):
        assert answer.status_code == (200 if may else 403)
    done = {"dialog": "1"} if action is Action.RUN_ONCE else {}
    assert (client.post(url, asking | done).status_code == 302) is may
    # Nobody's eyes reach the other one, alone or among others.
    for chosen in ([str(hidden.pk)], [str(vm.pk), str(hidden.pk)]):
        assert client.get(url, {"vm": chosen}).status_code in (400, 403)
        assert client.post(url, {"vm": chosen}).status_code in (400, 403)
    assert [operation.vm for operation in Operation.objects.all()] == ([vm] if may else [])


@pytest.mark.parametrize("running", [Action.SHUT_DOWN, Action.REBOOT])
def test_steering_needs_the_permission_of_what_it_does(
    somebody: Somebody, running: Action, vm: VirtualMachine, make_operation: MakeOperation
) -> None:
    forced = {Action.SHUT_DOWN: Action.POWER_OFF, Action.REBOOT: Action.POWER_CYCLE}[running]
    operation = make_operation(vm, running)
    for name, needed in (("extend", running), ("force_now", forced), ("cancel", running)):
        url = reverse(f"operation_{name}", args=[operation.pk])
        may = ACTION_PERMISSION[needed] in somebody.verbs
        page = somebody.client.get(operation.get_absolute_url())
        if VIEW_OPERATIONS in somebody.verbs:
            assert (f'"{url}"' in page.content.decode()) is may, name
        assert (somebody.client.post(url, {"seconds": "60"}).status_code == 302) is may, name


def test_editing_is_offered_and_done_where_it_was_given(
    somebody: Somebody, vm: VirtualMachine, hidden: VirtualMachine
) -> None:
    may = CHANGE in somebody.verbs
    client, url = somebody.client, reverse("vm_edit", args=[vm.pk])
    if VIEW in somebody.verbs:
        for shown in (
            client.get(reverse("vm_toolbar"), {"vm": str(vm.pk)}),
            client.get(reverse("vm_menu", args=[vm.pk])),
        ):
            assert (url in shown.content.decode()) is may
    assert client.get(url).status_code == (200 if may else 403)
    revert = reverse("vm_revert", args=[vm.pk])
    assert (client.post(revert, {}).status_code != 403) is may
    assert client.get(reverse("vm_edit", args=[hidden.pk])).status_code == (404 if may else 403)
    admin_form = reverse("admin:vms_virtualmachine_change", args=[vm.pk])
    client.post(admin_form, {"force_power_off": "true", "graceful_delay": "45", "tags": "web"})
    vm.refresh_from_db()
    assert (vm.graceful_delay == 45) is may
    assert Event.objects.filter(vm=vm, code=35).exists() is may


def test_the_console_is_offered_and_opened_where_it_was_given(
    somebody: Somebody, vm: VirtualMachine, hidden: VirtualMachine
) -> None:
    may = CONSOLE in somebody.verbs
    client, url = somebody.client, reverse("vm_console", args=[vm.pk])
    if VIEW in somebody.verbs:
        for shown in (
            client.get(reverse("vm_toolbar"), {"vm": str(vm.pk)}),
            client.get(reverse("vm_menu", args=[vm.pk])),
            client.get(reverse("vm_detail", args=[vm.pk])),
        ):
            assert (f'href="{url}"' in shown.content.decode()) is may
    assert client.get(url).status_code == (200 if may else 403)
    # What the ticket, and later its WebSocket, are judged by.
    VirtualMachine.objects.update(status=VmStatus.DOWN, domain_state=DomainState.DOWN)
    assert client.post(reverse("vm_console_ticket", args=[vm.pk])).status_code == (409 if may else 403)
    for name in ("vm_console_ticket", "vm_console"):
        asked = client.post if name == "vm_console_ticket" else client.get
        assert asked(reverse(name, args=[hidden.pk])).status_code == (404 if may else 403)


Surface = Callable[[Client], str]
#: Where VMs, their operations and their events are listed, with what seeing them needs.
LISTS: dict[str, tuple[str, Surface]] = {
    "list": (VIEW, lambda client: client.get(reverse("vm_list")).content.decode()),
    "board": (VIEW, lambda client: client.get(reverse("vm_board")).content.decode()),
    "operations": (VIEW_OPERATIONS, lambda client: client.get(reverse("operation_list")).content.decode()),
    "events": (VIEW_EVENTS, lambda client: client.get(reverse("event_list")).content.decode()),
    "CSV": (VIEW_EVENTS, lambda client: b"".join(_stream(client.get(reverse("event_csv")))).decode()),
    "admin: VMs": (VIEW, lambda client: _changelist(client, "virtualmachine")),
    "admin: operations": (VIEW_OPERATIONS, lambda client: _changelist(client, "operation")),
    "admin: events": (VIEW_EVENTS, lambda client: _changelist(client, "event")),
}


def _changelist(client: Client, model: str) -> str:
    return client.get(reverse(f"admin:vms_{model}_changelist")).content.decode()


def _stream(answer: Any) -> Iterator[bytes]:
    return iter(answer.streaming_content if answer.streaming else [answer.content])


def test_what_is_hidden_is_on_no_list(
    somebody: Somebody, vm: VirtualMachine, hidden: VirtualMachine, make_operation: MakeOperation
) -> None:
    for machine in (vm, hidden):
        operation = make_operation(machine)
        Event.objects.create(
            code=157, severity="normal", message=f"Rebooted {machine.name}.", vm=machine, operation=operation
        )
    for name, (permission, read) in LISTS.items():
        text = read(somebody.client)
        assert (vm.name in text) is (permission in somebody.verbs), name
        assert hidden.name not in text, name
        assert str(hidden.pk) not in text, name


def test_the_stream_brings_what_may_be_seen(
    somebody: Somebody, vm: VirtualMachine, hidden: VirtualMachine, make_operation: MakeOperation
) -> None:
    make_operation(vm)
    make_operation(hidden)
    session = str(somebody.client.session.session_key)
    viewer = viewers.find({"cookie": f"{settings.SESSION_COOKIE_NAME}={session}", "accept-language": "en"})
    if VIEW not in somebody.verbs:
        assert viewer is None
        return
    assert isinstance(viewer, Viewer)
    told = json.dumps(rendering.render([vm.pk, hidden.pk], {"operations"}, viewer))
    assert vm.name in told
    assert hidden.name not in told
    assert str(hidden.pk) not in told
