"""`vm_console`, `vm_console_refusal`, `vm_console_ticket`."""

from __future__ import annotations

import re
from uuid import uuid4

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse
from redis import Redis

from tests.support.scene import LogIn, MakeVm
from vms import tickets
from vms.domain.observation import DomainState
from vms.domain.power import VmStatus
from vms.models import Assignment, Role, VirtualMachine


def ticket_url(vm: VirtualMachine) -> str:
    """Return where tickets are asked for."""
    return reverse("vm_console_ticket", args=[vm.pk])


def test_the_page_leads_to_its_screen(log_in: LogIn, operator: User, vm: VirtualMachine) -> None:
    client = log_in(operator)
    html = client.get(reverse("vm_console", args=[vm.pk])).content.decode()
    assert "Screen of web01" in html
    assert f'data-ticket="{ticket_url(vm)}"' in html
    assert f'data-socket="{tickets.SOCKET_PATH}"' in html
    assert 'data-refusal=""' in html
    fragment = client.get(reverse("vm_console_refusal", args=[vm.pk])).content.decode().strip()
    assert re.match(r'<span [^>]*id="vm_console_refusal"', fragment)
    assert fragment in html


@pytest.mark.parametrize(
    ("status", "state", "why"),
    [
        (VmStatus.DOWN, DomainState.DOWN, "The virtual machine is down: it has no screen."),
        (VmStatus.REBOOT_IN_PROGRESS, DomainState.DOWN, "The virtual machine is down: it has no screen."),
        (VmStatus.NOT_RESPONDING, DomainState.RUNNING, "The host of the virtual machine cannot be reached."),
    ],
)
def test_where_there_is_no_screen_page_menu_and_ticket_say_why(
    log_in: LogIn, operator: User, make_vm: MakeVm, status: VmStatus, state: DomainState, why: str
) -> None:
    vm = make_vm(status=status, domain_state=state)
    client = log_in(operator)
    assert f'data-refusal="{why}"' in client.get(reverse("vm_console", args=[vm.pk])).content.decode()
    menu = client.get(reverse("vm_menu", args=[vm.pk]))
    (console,) = [control for group in menu.context["groups"] for control in group if control.key == "console"]
    assert console.why_not == why
    answer = client.post(ticket_url(vm))
    assert (answer.status_code, answer.json()["detail"]) == (409, why)


def test_menu_and_toolbar_lead_to_the_page(log_in: LogIn, operator: User, vm: VirtualMachine) -> None:
    client, page = log_in(operator), reverse("vm_console", args=[vm.pk])
    assert f'href="{page}"' in client.get(reverse("vm_menu", args=[vm.pk])).content.decode()
    assert f'href="{page}"' in client.get(reverse("vm_toolbar"), {"vm": str(vm.pk)}).content.decode()


def test_who_sees_a_vm_only_may_not_use_its_console(log_in: LogIn, outsider: User, make_vm: MakeVm) -> None:
    """Also when there is another VM whose console they may use."""
    shown, used, hidden = make_vm("shown"), make_vm("used"), make_vm("hidden")
    grant_on(shown, outsider, "view_vm")
    grant_on(used, outsider, "view_vm", "console_vm")
    client = log_in(outsider)
    answers = [
        (client.get(reverse("vm_console", args=[vm.pk])).status_code, client.post(ticket_url(vm)).status_code)
        for vm in (shown, hidden)
    ]
    assert answers == [(404, 403), (404, 404)]
    assert client.get(reverse("vm_console", args=[used.pk])).status_code == 200
    assert client.get(reverse("vm_console_refusal", args=[hidden.pk])).status_code == 404
    assert client.post(reverse("vm_console_ticket", args=[uuid4()])).status_code == 404


def test_who_may_use_no_console_at_all_is_told_so(log_in: LogIn, viewer: User, vm: VirtualMachine) -> None:
    client = log_in(viewer)
    assert client.get(reverse("vm_console", args=[vm.pk])).status_code == 403
    assert client.post(ticket_url(vm)).status_code == 403


def grant_on(vm: VirtualMachine, user: User, *verbs: str) -> None:
    """Let somebody do something to one VM."""
    role = Role.objects.create(name=f"Only {vm.name}")
    role.verbs.set(Permission.objects.filter(codename__in=verbs))
    Assignment.objects.create(user=user, role=role, vm=vm)


def test_a_ticket_is_asked_for_by_post_with_a_token_and_a_login(
    client: Client, log_in: LogIn, operator: User, vm: VirtualMachine
) -> None:
    assert client.post(ticket_url(vm)).url.startswith(reverse("login"))  # type: ignore[attr-defined]
    assert log_in(operator).get(ticket_url(vm)).status_code == 405
    assert log_in(operator, enforce_csrf_checks=True).post(ticket_url(vm)).status_code == 403


def test_without_redis_the_page_is_told(
    log_in: LogIn, operator: User, vm: VirtualMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nobody listens there. The client is one for the process, and refused at once.
    monkeypatch.setattr(tickets, "_redis", lambda: Redis(port=1))
    answer = log_in(operator).post(ticket_url(vm))
    assert answer.status_code == 409
    assert "Redis" in answer.json()["detail"]
