"""`vm_run_once`: one run with other than the stored configuration."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from tests.support.forms import fill
from tests.support.scene import LogIn, MakeOperation, MakeVm, configuration
from vms.domain.configuration import BootDevice
from vms.domain.power import Action, VmStatus
from vms.domain.run_options import AS_STORED, RunOptions
from vms.models import Event, Operation, VirtualMachine

URL = reverse("vm_run_once")
PLAN = reverse("vm_run_once_plan")
GIB = 1 << 30


@pytest.fixture
def client(log_in: LogIn, operator: User) -> Client:
    """An Operator's dialogs."""
    return log_in(operator, htmx=True)


@pytest.fixture
def down(make_vm: MakeVm) -> VirtualMachine:
    """A VM that is down."""
    return make_vm("legacy", VmStatus.DOWN)


def run(client: Client, vm: VirtualMachine, **typed: str | bool) -> Any:
    """Open the dialog, fill it in and confirm."""
    return client.post(URL, fill(client.get(URL, {"vm": str(vm.pk)}), **typed))


def test_every_option_is_taken(
    client: Client, down: VirtualMachine, woken: list[UUID], django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        response = run(
            client,
            down,
            boot="cdrom",
            cd_image="/isos/rescue.iso",
            kernel="/boot/vmlinuz",
            initrd="/boot/initrd.img",
            command_line="console=ttyS0 single",
            paused=True,
            memory="2 GiB",
            vcpus="1",
            stateless=True,
            reason="the root password is lost",
        )
    assert response.status_code == 200
    operation = Operation.objects.get()
    assert (operation.action, operation.reason, operation.actor_name) == (
        Action.RUN_ONCE,
        "the root password is lost",
        "oskar",
    )
    assert operation.run_options == RunOptions(
        boot=BootDevice.CD,
        cd_image="/isos/rescue.iso",
        kernel="/boot/vmlinuz",
        initrd="/boot/initrd.img",
        command_line="console=ttyS0 single",
        paused=True,
        memory=2 * GIB,
        vcpus=1,
        stateless=True,
    )
    assert f'id="vm_row_{down.pk}"' in response.content.decode()
    said = json.loads(response.headers["HX-Trigger"])
    assert said["portal:toast"]["message"] == "Run once of legacy was accepted."
    assert {"portal:close-dialog", "portal:refresh"} <= said.keys()
    assert woken == [down.pk]


def test_an_empty_form_runs_it_as_configured(client: Client, down: VirtualMachine) -> None:
    page = client.get(URL, {"vm": str(down.pk)}).content.decode()
    for told in ("Run legacy once", "As configured: Hard disk", 'placeholder="4 GiB"', "Start the VM"):
        assert told in page
    assert run(client, down).status_code == 200
    assert Operation.objects.get().run_options == AS_STORED


def test_the_drive_can_be_emptied(client: Client, make_vm: MakeVm) -> None:
    vm = make_vm(status=VmStatus.DOWN, stored_configuration=configuration(cd_image="/isos/debian.iso"))
    run(client, vm, empty_drive=True)
    assert Operation.objects.get().run_options == RunOptions(cd_image="")


@pytest.mark.parametrize(
    ("typed", "field", "sentence"),
    [
        ({"cd_image": "rescue.iso"}, "cd_image", "Enter the absolute path of a file on the host"),
        ({"cd_image": "/isos/a.iso", "empty_drive": "on"}, "cd_image", "not both"),
        ({"kernel": "vmlinuz"}, "kernel", "Enter the absolute path of a file on the host"),
        ({"initrd": "/boot/initrd.img"}, "kernel", "An initial RAM disk or a command line needs a kernel."),
        ({"command_line": "single"}, "kernel", "An initial RAM disk or a command line needs a kernel."),
        ({"kernel": "/boot/vmlinuz", "command_line": "x" * 4001}, "command_line", "at most 4000 characters"),
        ({"memory": "lots"}, "memory", "Enter memory such as 2 GiB"),
        ({"memory": "0"}, "memory", "Enter whole MiB"),
        ({"vcpus": "0"}, "vcpus", "Enter a whole number from 1 to 4096."),
        ({"boot": "fd"}, "boot", "Select a valid choice"),
    ],
)
def test_a_mistake_is_answered_at_its_field_and_nothing_runs(
    client: Client, down: VirtualMachine, typed: dict[str, str], field: str, sentence: str
) -> None:
    sent = fill(client.get(URL, {"vm": str(down.pk)}), reason="because") | {
        name: [text] for name, text in typed.items()
    }
    response = client.post(URL, sent)
    assert response.status_code == 422
    form = response.context["form"]
    assert list(form.errors) == [field]
    assert response.content.decode().count(sentence) == 2  # in the summary and at the field
    assert form["reason"].value() == "because"
    assert all(form[name].value() == text for name, text in typed.items() if text != "on")
    plan = client.get(PLAN, sent).content.decode()
    assert sentence in plan
    assert 'id="vm_action_confirm" disabled hx-swap-oob="true"' in plan
    assert not Operation.objects.exists()


@pytest.mark.behaviour(34)
def test_the_plan_follows_the_options(client: Client, down: VirtualMachine) -> None:
    plain = client.get(PLAN, {"vm": str(down.pk)}).content.decode()
    assert "For this run only" not in plain
    once = client.get(PLAN, {"vm": str(down.pk), "memory": "1 GiB", "stateless": "on"}).content.decode()
    assert "For this run only; the stored configuration is not touched." in once
    assert "what it writes to its disks is dropped when it ends" in once


def test_a_stateless_vm_stays_stateless(client: Client, make_vm: MakeVm) -> None:
    vm = make_vm(status=VmStatus.DOWN, stateless=True)
    assert "Every run of this VM is stateless" in client.get(URL, {"vm": str(vm.pk)}).content.decode()
    run(client, vm, vcpus="1")
    assert Operation.objects.get().run_options == RunOptions(vcpus=1, stateless=True)


def test_without_a_drive_there_is_no_image(client: Client, make_vm: MakeVm) -> None:
    vm = make_vm(status=VmStatus.DOWN, stored_configuration=configuration(cd_image=None))
    page = client.get(URL, {"vm": str(vm.pk)})
    assert "The VM has no CD drive." in page.content.decode()
    client.post(URL, fill(page) | {"cd_image": ["/isos/rescue.iso"], "empty_drive": ["on"]})
    assert Operation.objects.get().run_options == AS_STORED


@pytest.mark.parametrize("status", sorted(set(VmStatus) - {VmStatus.DOWN}))
def test_another_status_is_refused_in_words(client: Client, make_vm: MakeVm, status: VmStatus) -> None:
    vm = make_vm(status=status)
    sentence = f"Cannot run once web01 because it is {vm.get_status_display()}."
    page = client.get(URL, {"vm": str(vm.pk)})
    assert sentence in page.content.decode()
    response = client.post(URL, {"vm": str(vm.pk)})
    assert response.status_code == 409
    assert sentence in response.content.decode()
    assert not Operation.objects.exists()


def test_a_running_operation_is_named_with_a_link(
    client: Client, down: VirtualMachine, make_operation: MakeOperation
) -> None:
    running = make_operation(down, Action.RUN)
    response = client.post(URL, {"vm": str(down.pk)})
    assert response.status_code == 409
    assert running.get_absolute_url() in response.content.decode()


def test_it_is_for_one_vm(client: Client, down: VirtualMachine, make_vm: MakeVm) -> None:
    both = {"vm": [str(down.pk), str(make_vm("other", VmStatus.DOWN).pk)]}
    for answer in (client.get(URL, both), client.get(PLAN, both), client.post(URL, both), client.post(URL, {})):
        assert answer.status_code == 400
    assert not Operation.objects.exists()


def test_the_address_of_the_action_leads_here_and_nowhere_else() -> None:
    assert reverse("vm_action", args=[Action.RUN_ONCE]) == URL
    assert reverse("vm_action_plan", args=[Action.RUN_ONCE]) == PLAN


def test_looking_changes_nothing(client: Client, down: VirtualMachine) -> None:
    for url in (URL, PLAN):
        assert client.get(url, {"vm": str(down.pk), "vcpus": "1"}).status_code == 200
    assert Operation.objects.count() == Event.objects.count() == 0


def test_without_htmx_it_is_a_page(log_in: LogIn, operator: User, down: VirtualMachine) -> None:
    browser = log_in(operator)
    wrong = browser.post(URL, fill(browser.get(URL, {"vm": str(down.pk)}), vcpus="none"))
    assert wrong.status_code == 422
    assert 'id="vm_action_confirm">' in wrong.content.decode()  # not disabled: there is no script to enable it
    response = browser.post(URL, fill(wrong, vcpus="1"), follow=True)
    assert response.redirect_chain == [("/", 302)]
    assert "Run once of legacy was accepted." in response.content.decode()


def test_viewers_may_not_even_look(log_in: LogIn, viewer: User, down: VirtualMachine) -> None:
    browser = log_in(viewer)
    for url in (URL, PLAN):
        assert browser.get(url, {"vm": str(down.pk)}).status_code == 403
    assert browser.post(URL, {"vm": str(down.pk)}).status_code == 403
    assert not Operation.objects.exists()


def test_a_post_without_its_csrf_token_is_refused(log_in: LogIn, operator: User, down: VirtualMachine) -> None:
    assert log_in(operator, enforce_csrf_checks=True).post(URL, {"vm": str(down.pk)}).status_code == 403
    assert not Operation.objects.exists()
