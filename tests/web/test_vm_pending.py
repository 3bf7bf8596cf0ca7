"""`vm_pending`: what waits for a VM's next cold start; `vm_revert`: taking it back."""

from __future__ import annotations

import json
import uuid
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from tests.support.forms import fill
from tests.support.scene import LogIn, MakeVm, pending
from vms.domain.power import VmStatus
from vms.models import ConfigurationChange, VirtualMachine

GIB = 1 << 30


def listed(vm: VirtualMachine) -> str:
    """Return the address of the list."""
    return reverse("vm_pending", args=[vm.pk])


def revert(vm: VirtualMachine) -> str:
    """Return the address that takes changes back."""
    return reverse("vm_revert", args=[vm.pk])


@pytest.fixture
def changed(make_vm: MakeVm) -> VirtualMachine:
    """A VM that is Up while two changes wait."""
    return make_vm(**pending(memory=8 * GIB, cd_image="/isos/<new>.iso"))


def ask_host(vm: VirtualMachine, state: str = "waiting", **fields: Any) -> ConfigurationChange:
    """Make a change as somebody else asked for it."""
    VirtualMachine.objects.filter(pk=vm.pk).update(change_waits=state == "waiting")
    return ConfigurationChange.objects.create(
        vm=vm, state=state, actor_name="grace", correlation_id=str(uuid.uuid4()), **fields
    )


@pytest.mark.behaviour(11)
def test_each_change_is_listed_with_now_and_next(log_in: LogIn, viewer: User, changed: VirtualMachine) -> None:
    html = log_in(viewer, htmx=True).get(listed(changed)).content.decode()
    for told in ("Pending changes of web01", "Memory", "4 GiB", "8 GiB", "CD image", "empty", "/isos/&lt;new&gt;.iso"):
        assert told in html
    assert "/isos/<new>.iso" not in html
    assert "Revert" not in html  # a viewer may look
    assert "Reboot now" not in html


def test_who_may_reboot_is_offered_it(log_in: LogIn, operator: User, changed: VirtualMachine, make_vm: MakeVm) -> None:
    client = log_in(operator, htmx=True)
    assert f'href="/vms/reboot/?vm={changed.pk}"' in client.get(listed(changed)).content.decode()
    paused = make_vm("paused", VmStatus.PAUSED, **pending(vcpus=4))
    html = client.get(listed(paused)).content.decode()
    assert "Cannot reboot paused because it is Paused." in html
    assert "Reboot now" not in html


def test_nothing_that_waits_is_said(log_in: LogIn, viewer: User, vm: VirtualMachine) -> None:
    assert "Nothing waits" in log_in(viewer).get(listed(vm)).content.decode()


def test_what_the_host_is_still_to_store_is_told_with_its_reason(
    log_in: LogIn, viewer: User, vm: VirtualMachine
) -> None:
    ask_host(vm, values={"memory": 8 * GIB}, error="the domain is locked")
    html = log_in(viewer, htmx=True).get(reverse("vm_pending_changes", args=[vm.pk])).content.decode()
    assert "kvm1 is still to store what grace changed: Memory: 8 GiB." in html
    assert "the domain is locked" in html
    assert html.count("8 GiB") == 2  # there, and as what comes next
    assert f'data-live="{reverse("vm_pending_changes", args=[vm.pk])}"' in html


def test_a_change_that_failed_is_told_until_the_next_that_succeeds(
    log_in: LogIn, viewer: User, vm: VirtualMachine
) -> None:
    client = log_in(viewer, htmx=True)
    ask_host(vm, "applied", values={"vcpus": 4})
    ask_host(vm, "failed", values={"memory": 8 * GIB}, error="too <much>")
    html = client.get(listed(vm)).content.decode()
    assert "grace’s change (Memory: 8 GiB) could not be stored" in html
    assert "too &lt;much&gt;" in html
    ask_host(vm, "applied", values={"memory": 6 * GIB})
    assert "could not be stored" not in client.get(listed(vm)).content.decode()


@pytest.mark.behaviour(11)
def test_one_change_is_taken_back_and_the_other_stays(
    log_in: LogIn, admin: User, changed: VirtualMachine, woken: list[UUID], django_capture_on_commit_callbacks: Any
) -> None:
    client = log_in(admin, htmx=True)
    with django_capture_on_commit_callbacks(execute=True):
        response = client.post(revert(changed), fill(client.get(listed(changed))) | {"part": ["memory"]})
    assert response.status_code == 200
    assert ConfigurationChange.objects.get().reverts == ["memory"]
    assert woken == [changed.pk]
    row = response.context["row"]
    assert [change.part for change in row.changes] == ["cd_image"]
    toast = json.loads(response.headers["HX-Trigger"])["portal:toast"]["message"]
    assert toast == "web01: Memory will stay as it runs now."


@pytest.mark.behaviour(11)
def test_all_that_were_shown_are_taken_back_at_once(log_in: LogIn, admin: User, changed: VirtualMachine) -> None:
    client = log_in(admin, htmx=True)
    response = client.post(revert(changed), fill(client.get(listed(changed))) | {"all": ["yes"]})
    assert "portal:close-dialog" in response.headers["HX-Trigger"]
    assert sorted(ConfigurationChange.objects.get().reverts) == ["cd_image", "memory"]


def test_without_htmx_it_is_a_page(log_in: LogIn, admin: User, changed: VirtualMachine) -> None:
    client = log_in(admin)
    response = client.post(revert(changed), {"part": "memory"}, follow=True)
    assert response.redirect_chain == [(listed(changed), 302)]
    assert "web01: Memory will stay as it runs now." in response.content.decode()


def test_what_does_not_wait_any_more_is_refused_in_words(log_in: LogIn, admin: User, vm: VirtualMachine) -> None:
    for htmx in (True, False):
        response = log_in(admin, htmx=htmx).post(revert(vm), {"part": "memory"})
        assert response.status_code == 409
        assert "No such change of web01 waits any more." in response.content.decode()
    assert not ConfigurationChange.objects.exists()


def test_a_vm_that_cannot_be_edited_refuses(log_in: LogIn, admin: User, make_vm: MakeVm) -> None:
    vm = make_vm(status=VmStatus.NOT_RESPONDING, **pending(vcpus=4))
    response = log_in(admin, htmx=True).post(revert(vm), {"part": "vcpus"})
    assert response.status_code == 409
    assert "because it is Not responding" in response.content.decode()
    assert not ConfigurationChange.objects.exists()


@pytest.mark.parametrize("sent", [{}, {"part": "colour"}, {"all": "yes"}, {"part": ["memory", "colour"]}])
def test_nonsense_is_refused(
    log_in: LogIn, admin: User, changed: VirtualMachine, sent: dict[str, str | list[str]]
) -> None:
    assert log_in(admin).post(revert(changed), sent).status_code == 400
    assert not ConfigurationChange.objects.exists()


def test_viewers_and_operators_take_nothing_back(
    log_in: LogIn, viewer: User, operator: User, changed: VirtualMachine
) -> None:
    for user in (viewer, operator):
        assert log_in(user).post(revert(changed), {"part": "memory"}).status_code == 403
    assert not ConfigurationChange.objects.exists()


def test_outsiders_see_nothing(log_in: LogIn, outsider: User, changed: VirtualMachine) -> None:
    for name in ("vm_pending", "vm_pending_changes"):
        assert log_in(outsider).get(reverse(name, args=[changed.pk])).status_code == 403


def test_nobody_is_sent_to_the_login_page(client: Client, changed: VirtualMachine) -> None:
    for answer in (client.get(listed(changed)), client.post(revert(changed), {"part": "memory"})):
        assert answer.headers["Location"].startswith(reverse("login"))


def test_only_a_post_with_its_csrf_token_takes_back(log_in: LogIn, admin: User, changed: VirtualMachine) -> None:
    assert log_in(admin).get(revert(changed), {"part": "memory"}).status_code == 405
    assert log_in(admin, enforce_csrf_checks=True).post(revert(changed), {"part": "memory"}).status_code == 403
    assert not ConfigurationChange.objects.exists()


def test_a_vm_that_is_not_there_is_not_found(log_in: LogIn, admin: User) -> None:
    for name in ("vm_pending", "vm_pending_changes"):
        assert log_in(admin).get(reverse(name, args=[uuid.uuid4()])).status_code == 404
    assert log_in(admin).post(reverse("vm_revert", args=[uuid.uuid4()]), {"part": "memory"}).status_code == 404
