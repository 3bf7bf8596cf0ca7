"""`vm_edit`: a VM's power-down policy. Its configuration and options are in `test_vm_edit_configuration`."""

from __future__ import annotations

import uuid

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from tests.support.forms import fill
from tests.support.scene import LogIn, MakeVm
from vms.models import Event, PortalDefaults, VirtualMachine

USE_DEFAULTS = {"force_default": "on", "delay_default": "on", "graceful_delay": ""}


def edit(vm: VirtualMachine) -> str:
    """Return the address of a VM's dialog."""
    return reverse("vm_edit", args=[vm.pk])


def policy(vm: VirtualMachine) -> tuple[bool | None, int | None]:
    """Return what the VM has set."""
    vm.refresh_from_db()
    return vm.force_power_off, vm.graceful_delay


def test_the_dialog_shows_what_holds_and_where_it_comes_from(log_in: LogIn, admin: User, make_vm: MakeVm) -> None:
    PortalDefaults.objects.create(id=1, force=True, graceful_delay=90)
    vm = make_vm(graceful_delay=15)
    html = log_in(admin, htmx=True).get(edit(vm)).content.decode()
    for told in (
        "Edit web01",
        "Power off if the guest does not shut down in time",
        "In force now: on, from portal default.",
        "Use the portal default: on",
        "In force now: 15 s, from this VM.",
        "Use the portal default: 90 s",
        "Empty: the portal default, 90 s.",
        'placeholder="90 (portal default)"',
        'value="15"',
    ):
        assert told in html


def test_both_settings_are_saved_with_an_event(log_in: LogIn, admin: User, vm: VirtualMachine) -> None:
    response = log_in(admin, htmx=True).post(edit(vm), {"force": "on", "graceful_delay": "15"})
    assert response.status_code == 200
    assert "portal:close-dialog" in response.headers["HX-Trigger"]
    assert policy(vm) == (True, 15)
    event = Event.objects.get()
    assert (event.actor, event.vm) == (admin, vm)


def test_no_tick_is_an_own_no(log_in: LogIn, admin: User, make_vm: MakeVm) -> None:
    vm = make_vm()
    client = log_in(admin, htmx=True)
    client.post(edit(vm), fill(client.get(edit(vm)), force_default=False))
    assert policy(vm) == (False, None)


def test_back_to_the_portals_default(log_in: LogIn, admin: User, make_vm: MakeVm) -> None:
    vm = make_vm(force_power_off=True, graceful_delay=0)
    response = log_in(admin).post(edit(vm), USE_DEFAULTS)
    assert response.status_code == 302
    assert policy(vm) == (None, None)


def test_an_empty_box_means_the_default(log_in: LogIn, admin: User, make_vm: MakeVm) -> None:
    vm = make_vm(graceful_delay=15)
    client = log_in(admin, htmx=True)
    client.post(edit(vm), fill(client.get(edit(vm)), graceful_delay="  "))
    assert policy(vm) == (None, None)


def test_no_wait_is_saved_with_force(log_in: LogIn, admin: User, vm: VirtualMachine) -> None:
    log_in(admin).post(edit(vm), {"force": "on", "graceful_delay": "0"})
    assert policy(vm) == (True, 0)


@pytest.mark.behaviour(4)
@pytest.mark.parametrize(
    ("sent", "sentence"),
    [
        ({"graceful_delay": "0"}, "0 seconds means no wait at all"),
        ({"graceful_delay": "0", "force_default": "on"}, "0 seconds means no wait at all"),
        ({"graceful_delay": "-1", "force": "on"}, "Enter whole seconds from 0 to 3600."),
        ({"graceful_delay": "1.5", "force": "on"}, "Enter whole seconds from 0 to 3600."),
        ({"graceful_delay": "abc", "force": "on"}, "Enter whole seconds from 0 to 3600."),
        ({"graceful_delay": "3601", "force": "on"}, "Enter whole seconds from 0 to 3600."),
        ({"graceful_delay": "1000000000000", "force": "on"}, "Enter whole seconds from 0 to 3600."),
        ({"graceful_delay": "٣", "force": "on"}, "Enter whole seconds from 0 to 3600."),
        ({"graceful_delay": "30", "delay_default": "on"}, "Empty the box to use the portal default"),
    ],
)
def test_a_bad_delay_is_answered_at_the_field_and_nothing_is_saved(
    log_in: LogIn, admin: User, make_vm: MakeVm, sent: dict[str, str], sentence: str
) -> None:
    PortalDefaults.objects.create(id=1, force=True, graceful_delay=60)
    vm = make_vm(force_power_off=False, graceful_delay=20)
    response = log_in(admin, htmx=True).post(edit(vm), sent)
    assert response.status_code == 422
    assert list(response.context["form"].errors) == ["graceful_delay"]
    html = response.content.decode()
    assert html.count(sentence) == 2  # in the summary and at the field
    assert f'value="{sent["graceful_delay"]}"' in html
    assert "data-error-summary" in html
    assert policy(vm) == (False, 20)
    assert not Event.objects.exists()


def test_looking_changes_nothing(log_in: LogIn, admin: User, vm: VirtualMachine) -> None:
    client = log_in(admin)
    assert client.get(edit(vm), {"force": "on", "graceful_delay": "15"}).status_code == 200
    assert policy(vm) == (None, None)
    assert not Event.objects.exists()


def test_viewers_and_operators_are_forbidden(log_in: LogIn, viewer: User, operator: User, vm: VirtualMachine) -> None:
    for user in (viewer, operator):
        client = log_in(user)
        assert client.get(edit(vm)).status_code == 403
        assert client.post(edit(vm), {"force": "on", "graceful_delay": "15"}).status_code == 403
    assert policy(vm) == (None, None)


def test_nobody_is_sent_to_the_login_page(client: Client, vm: VirtualMachine) -> None:
    assert client.post(edit(vm), USE_DEFAULTS).headers["Location"].startswith(reverse("login"))


def test_a_post_without_its_csrf_token_is_refused(log_in: LogIn, admin: User, vm: VirtualMachine) -> None:
    client = log_in(admin, enforce_csrf_checks=True)
    assert client.post(edit(vm), {"force": "on", "graceful_delay": "15"}).status_code == 403
    assert policy(vm) == (None, None)


def test_a_vm_that_is_not_there_is_not_found(log_in: LogIn, admin: User) -> None:
    assert log_in(admin).get(reverse("vm_edit", args=[uuid.uuid4()])).status_code == 404


def tags(vm: VirtualMachine) -> list[str]:
    """Return the tags of a VM."""
    return list(vm.tags.values_list("name", flat=True))


def test_tags_are_set_with_an_event_and_known_ones_keep_their_spelling(
    log_in: LogIn, admin: User, make_vm: MakeVm
) -> None:
    other, vm = make_vm("web02"), make_vm()
    client = log_in(admin, htmx=True)
    client.post(edit(other), USE_DEFAULTS | {"tags": "Production"})
    client.post(edit(vm), USE_DEFAULTS | {"tags": " production ,web  server, "})
    assert (tags(vm), tags(other)) == (["Production", "web server"], ["Production"])
    assert 'value="Production, web server"' in client.get(edit(vm)).content.decode()
    client.post(edit(vm), USE_DEFAULTS | {"tags": "web server"})
    assert tags(vm) == ["web server"]
    assert Event.objects.latest("id").message == (
        "Tags of web01 changed from “Production, web server” to “web server”."
    )


def test_a_bad_tag_is_answered_at_the_field_and_nothing_is_saved(log_in: LogIn, admin: User, make_vm: MakeVm) -> None:
    vm = make_vm()
    sent = {"force": "on", "graceful_delay": "15", "tags": "x" * 51}
    response = log_in(admin, htmx=True).post(edit(vm), sent)
    assert response.status_code == 422
    assert response.content.decode().count("A tag has at most 50 characters.") == 2
    assert (tags(vm), policy(vm)) == ([], (None, None))
