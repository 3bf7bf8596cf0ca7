"""VMs over the API."""

from __future__ import annotations

import json

import pytest
from django.contrib.auth.models import User
from django.test import Client
from lxml import etree

from tests.api.conftest import as_person
from tests.support.scene import MakeVm
from vms.domain.power import VmStatus
from vms.models import Operation, VirtualMachine

pytestmark = pytest.mark.django_db

VMS = "/ovirt-engine/api/vms"


def test_one_vm_in_both_forms(operator: User, vm: VirtualMachine) -> None:
    client = as_person(operator)
    answer = client.get(f"{VMS}/{vm.pk}")
    assert (answer.status_code, answer["Content-Type"]) == (200, "application/xml")
    root = etree.fromstring(answer.content)
    assert (root.tag, root.items()) == ("vm", [("href", f"{VMS}/{vm.pk}"), ("id", str(vm.pk))])
    assert root.findtext("name") == vm.name
    assert root.findtext("status") == "up"
    shown = json.loads(client.get(f"{VMS}/{vm.pk}", headers={"Accept": "application/json"}).content)
    assert (shown["name"], shown["status"], shown["id"]) == (vm.name, "up", str(vm.pk))


def test_a_reboot_is_accepted_once(operator: User, vm: VirtualMachine, woken: list[object]) -> None:
    client = as_person(operator)
    answer = client.post(f"{VMS}/{vm.pk}/reboot", "<action/>", content_type="application/xml")
    assert answer.status_code == 200
    operation = Operation.objects.get()
    assert etree.fromstring(answer.content).find("job").get("id") == str(operation.pk)  # type: ignore[union-attr]
    vm.refresh_from_db()
    assert vm.status == VmStatus.REBOOT_IN_PROGRESS
    again = client.post(f"{VMS}/{vm.pk}/reboot", "<action/>", content_type="application/xml")
    assert again.status_code == 409
    assert b"<fault>" in again.content


@pytest.mark.parametrize("address", [f"{VMS}/", "/ovirt-engine/api//vms", "/ovirt-engine/api/v4/vms", f"{VMS};max=1"])
def test_no_spelling_of_an_address_is_redirected(operator: User, make_vm: MakeVm, address: str) -> None:
    make_vm("web01")
    assert as_person(operator).get(address).status_code == 200


def test_what_is_nothing_is_a_fault_and_no_page(client: Client) -> None:
    answer = client.get("/ovirt-engine/nothing/here")
    assert (answer.status_code, answer["Content-Type"]) == (404, "application/xml")


def test_nobody_is_asked_to_say_who_they_are(client: Client) -> None:
    answer = client.get(VMS)
    assert (answer.status_code, answer.content) == (401, b"")
    assert answer["WWW-Authenticate"] == 'Basic realm="RESTAPI"'
