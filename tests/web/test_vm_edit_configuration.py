"""`vm_edit`: a VM's configuration and the options of its policy, saved at once or not at all."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from tests.support.forms import fill
from tests.support.scene import LogIn, MakeVm, configuration, pending
from vms.domain.power import EDITABLE, VmStatus
from vms.models import ConfigurationChange, Event, VirtualMachine

GIB = 1 << 30
FIXED = sorted(set(VmStatus) - EDITABLE)


def edit(vm: VirtualMachine) -> str:
    """Return the address of a VM's dialog."""
    return reverse("vm_edit", args=[vm.pk])


def save(client: Client, vm: VirtualMachine, **typed: str | bool) -> Any:
    """Open the dialog, fill it in and save."""
    return client.post(edit(vm), fill(client.get(edit(vm)), **typed))


def asked(vm: VirtualMachine) -> list[dict[str, Any]]:
    """Return what the host is to store."""
    return [change.values for change in ConfigurationChange.objects.filter(vm=vm)]


@pytest.fixture
def client(log_in: LogIn, admin: User) -> Client:
    """An Administrator's dialogs."""
    return log_in(admin, htmx=True)


@pytest.mark.parametrize(
    ("typed", "size"),
    [
        ("2 GiB", 2 * GIB),
        ("2g", 2 * GIB),
        ("1.5 GiB", 3 * GIB // 2),
        ("2048 MiB", 2 * GIB),
        ("2048", 2 * GIB),
        ("  512M ", GIB // 2),
        ("1 TiB", GIB << 10),
    ],
)
def test_memory_is_typed_as_people_write_it(client: Client, vm: VirtualMachine, typed: str, size: int) -> None:
    assert save(client, vm, memory=typed).status_code == 200
    assert asked(vm) == [{"memory": size}]


def test_everything_is_saved_at_once_and_a_worker_is_woken(
    client: Client, vm: VirtualMachine, woken: list[UUID], django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        response = save(
            client,
            vm,
            description="The shop.\r\nAsk Grace.",
            memory="8 GiB",
            vcpus="4",
            boot="cdrom,hd",
            cd_image="/isos/debian.iso",
            graceful_delay="90",
            delay_default=False,
            restart_inside=True,
            stateless=True,
        )
    assert response.status_code == 200
    assert asked(vm) == [
        {
            "description": "The shop.\nAsk Grace.",
            "memory": 8 * GIB,
            "vcpus": 4,
            "boot": ["cdrom", "hd"],
            "cd_image": "/isos/debian.iso",
        }
    ]
    vm.refresh_from_db()
    assert (vm.graceful_delay, vm.restart_inside, vm.apply_on_guest_reboot, vm.stateless) == (90, True, False, True)
    assert set(woken) == {vm.pk}
    told = [event.message for event in Event.objects.filter(vm=vm)]
    assert "Policy of web01 changed: restart inside the guest on, stateless on." in told


def test_saving_tells_how_many_changes_wait_and_offers_to_reboot(client: Client, vm: VirtualMachine) -> None:
    response = save(client, vm, memory="8 GiB", vcpus="4")
    html = response.content.decode()
    assert "web01 was saved. 2 changes wait for the next cold start." in html
    assert f'href="/vms/reboot/?vm={vm.pk}"' in html
    assert "Reboot now" in html
    assert "portal:refresh" in response.headers["HX-Trigger"]
    assert "portal:close-dialog" not in response.headers["HX-Trigger"]


def test_of_a_vm_that_is_down_nothing_waits(client: Client, make_vm: MakeVm) -> None:
    vm = make_vm(status=VmStatus.DOWN)
    assert "Needs a restart" not in client.get(edit(vm)).content.decode()
    response = save(client, vm, memory="8 GiB")
    assert asked(vm) == [{"memory": 8 * GIB}]
    assert "portal:close-dialog" in response.headers["HX-Trigger"]
    assert "web01 was saved." in response.headers["HX-Trigger"]


def test_a_description_waits_for_no_cold_start(client: Client, vm: VirtualMachine) -> None:
    response = save(client, vm, description="The shop")
    assert "portal:close-dialog" in response.headers["HX-Trigger"]
    assert "1 change waits" in save(client, vm, vcpus="4").content.decode()


def test_what_needs_a_restart_is_marked_and_what_waits_is_said(client: Client, make_vm: MakeVm) -> None:
    html = client.get(edit(make_vm(**pending(memory=8 * GIB)))).content.decode()
    assert 'value="8 GiB"' in html
    assert "A change waits; in the running VM it is: 4 GiB." in html
    assert html.count("Needs a restart.") == html.count("portal-restarts") == 4


def test_each_field_of_power_management_says_what_it_does(client: Client, vm: VirtualMachine) -> None:
    html = client.get(edit(vm)).content.decode()
    for told in (
        "Reboot asks the guest agent to restart the guest",
        "a restart from inside the guest becomes a cold start",
        "what a run writes to its disks is dropped",
        "Everything that a run writes to its disks will be lost when it ends.",
    ):
        assert told in html


def test_two_people_who_change_different_things_undo_nothing(client: Client, make_vm: MakeVm) -> None:
    vm = make_vm(force_power_off=False, graceful_delay=20)
    one, other = (client.get(edit(vm)) for _ in range(2))
    client.post(edit(vm), fill(one, memory="8 GiB", graceful_delay="45", stateless=True))
    client.post(edit(vm), fill(other, vcpus="4", force=True, restart_inside=True))
    assert asked(vm) == [{"memory": 8 * GIB}, {"vcpus": 4}]
    vm.refresh_from_db()
    assert (vm.force_power_off, vm.graceful_delay) == (True, 45)
    assert (vm.stateless, vm.restart_inside) == (True, True)


def test_a_form_that_nobody_touched_changes_nothing(client: Client, make_vm: MakeVm) -> None:
    odd = configuration(memory=1_000_000 << 10, description="two\nlines", boot=("fd",), cd_image="/isos/a b.iso")
    for number, fields in enumerate(
        ({}, {"stored_configuration": odd}, {"stored_configuration": configuration(boot=())})
    ):
        response = save(client, make_vm(f"vm{number}", **fields))
        assert response.status_code == 200
    assert not ConfigurationChange.objects.exists()
    assert not Event.objects.exists()


@pytest.mark.parametrize(
    ("field", "typed", "sentence"),
    [
        ("memory", "many", "Enter memory such as 2 GiB or 1536 MiB"),
        ("memory", "2 GB", "Enter memory such as 2 GiB or 1536 MiB"),
        ("memory", "-1", "Enter memory such as 2 GiB or 1536 MiB"),
        ("memory", "0", "Enter whole MiB, from 1 MiB to 16 TiB."),
        ("memory", "0.3 MiB", "Enter whole MiB, from 1 MiB to 16 TiB."),
        ("memory", "17 TiB", "Enter whole MiB, from 1 MiB to 16 TiB."),
        ("memory", "", "Enter whole MiB, from 1 MiB to 16 TiB."),
        ("vcpus", "0", "Enter a whole number from 1 to 4096."),
        ("vcpus", "4097", "Enter a whole number from 1 to 4096."),
        ("vcpus", "1.5", "Enter a whole number from 1 to 4096."),
        ("vcpus", "٣", "Enter a whole number from 1 to 4096."),
        ("vcpus", "", "Enter a whole number from 1 to 4096."),
        ("cd_image", "debian.iso", "Enter the absolute path of a file on the host, or nothing."),
        ("cd_image", "/isos/\x01.iso", "Enter the absolute path of a file on the host, or nothing."),
        ("description", "x" * 4001, "Enter text without control characters, at most 4000 characters."),
    ],
)
def test_a_mistake_is_answered_at_its_field_and_nothing_at_all_is_saved(
    client: Client, vm: VirtualMachine, field: str, typed: str, sentence: str
) -> None:
    sent = fill(client.get(edit(vm)), stateless=True, graceful_delay="30", delay_default=False)
    response = client.post(edit(vm), sent | {field: [typed]})
    assert response.status_code == 422
    form = response.context["form"]
    assert list(form.errors) == [field]
    assert response.content.decode().count(sentence) == 2  # in the summary and at the field
    assert form[field].value() == typed
    assert form["graceful_delay"].value() == "30"
    assert asked(vm) == []
    assert not Event.objects.exists()
    vm.refresh_from_db()
    assert (vm.stateless, vm.graceful_delay) == (False, None)


def test_what_was_typed_survives_a_mistake_and_the_second_try_is_saved(client: Client, vm: VirtualMachine) -> None:
    wrong = save(client, vm, memory="many", vcpus="4")
    assert wrong.status_code == 422
    assert client.post(edit(vm), fill(wrong, memory="8 GiB")).status_code == 200
    assert asked(vm) == [{"memory": 8 * GIB, "vcpus": 4}]


@pytest.mark.parametrize("boot", ["", "hd,hd", "fd", "cdrom,fd"])
def test_an_order_that_cannot_be_chosen_is_refused(client: Client, vm: VirtualMachine, boot: str) -> None:
    sent = fill(client.get(edit(vm))) | {"boot": [boot]}
    response = client.post(edit(vm), sent)
    assert response.status_code == 422
    assert list(response.context["form"].errors) == ["boot"]
    assert asked(vm) == []


def test_an_order_that_was_configured_elsewhere_is_kept_until_another_is_chosen(
    client: Client, make_vm: MakeVm
) -> None:
    vm = make_vm(stored_configuration=configuration(boot=("fd", "hd")))
    assert save(client, vm, vcpus="4").status_code == 200
    assert save(client, vm, boot="hd").status_code == 200
    assert asked(vm) == [{"vcpus": 4}, {"boot": ["hd"]}]


def test_without_a_drive_no_image_can_be_entered(client: Client, make_vm: MakeVm) -> None:
    vm = make_vm(stored_configuration=configuration(cd_image=None))
    page = client.get(edit(vm))
    assert "The VM has no CD drive." in page.content.decode()
    assert page.context["form"].fields["cd_image"].disabled
    refused = client.post(edit(vm), fill(page) | {"cd_image": ["/isos/debian.iso"]})
    assert refused.status_code == 422
    assert list(refused.context["form"].errors) == ["cd_image"]
    assert asked(vm) == []


@pytest.mark.parametrize("status", FIXED)
def test_in_other_statuses_the_configuration_is_fixed_with_the_reason_and_the_policy_is_not(
    client: Client, make_vm: MakeVm, status: VmStatus
) -> None:
    vm = make_vm(status=status)
    page = client.get(edit(vm))
    assert f"Cannot be changed while the VM is {vm.get_status_display()}." in page.content.decode()
    client.post(edit(vm), fill(page, graceful_delay="30", delay_default=False, stateless=True))
    vm.refresh_from_db()
    assert (vm.graceful_delay, vm.stateless) == (30, True)
    assert asked(vm) == []


@pytest.mark.parametrize("status", sorted(set(VmStatus) - {VmStatus.GONE}))
def test_the_description_can_be_changed_in_every_status_but_gone(
    client: Client, make_vm: MakeVm, status: VmStatus
) -> None:
    vm = make_vm(status=status)
    assert save(client, vm, description="The shop").status_code == 200
    assert asked(vm) == [{"description": "The shop"}]


def test_a_vm_that_was_suspended_meanwhile_refuses_all_of_it_and_what_was_typed_stays(
    client: Client, vm: VirtualMachine
) -> None:
    sent = fill(client.get(edit(vm)), memory="8 GiB", stateless=True)
    VirtualMachine.objects.filter(pk=vm.pk).update(status=VmStatus.SUSPENDED)
    response = client.post(edit(vm), sent)
    assert response.status_code == 422
    assert "Cannot change the configuration of web01 because it is Suspended." in response.content.decode()
    assert response.context["form"]["memory"].value() == "8 GiB"
    assert asked(vm) == []
    vm.refresh_from_db()
    assert not vm.stateless


def test_without_htmx_it_is_a_page(log_in: LogIn, admin: User, vm: VirtualMachine) -> None:
    browser = log_in(admin)
    response = browser.post(edit(vm), fill(browser.get(edit(vm)), memory="8 GiB"), follow=True)
    assert response.redirect_chain == [(reverse("vm_pending", args=[vm.pk]), 302)]
    html = response.content.decode()
    assert "web01 was saved. 1 change waits for the next cold start." in html
    assert "8 GiB" in html


def test_operators_are_forbidden_and_change_nothing(log_in: LogIn, operator: User, vm: VirtualMachine) -> None:
    assert log_in(operator).post(edit(vm), {"memory": "8 GiB", "stateless": "on"}).status_code == 403
    assert asked(vm) == []


def test_a_comment_is_kept_by_the_portal_and_shown_on_the_vms_page(client: Client, vm: VirtualMachine) -> None:
    assert save(client, vm, comment="Ask Grace.").status_code == 200
    vm.refresh_from_db()
    assert (vm.comment, asked(vm)) == ("Ask Grace.", [])
    assert Event.objects.get(vm=vm).message == f"Comment of {vm.name} changed to “Ask Grace.”."
    assert "Ask Grace." in client.get(reverse("vm_detail", args=[vm.pk])).content.decode()
