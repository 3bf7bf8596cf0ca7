"""Adding a VM over the API: what each kind of client sends, and what it is told when it cannot be."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth.models import User
from django.test import Client
from lxml import etree

from tests.api.conftest import as_person
from tests.support.scene import MakeVm
from vms.api.resources.vm import BLANK_ID, CLUSTER_ID
from vms.domain.configuration import MIB
from vms.domain.policy import Setting
from vms.domain.power import VmStatus
from vms.models import Addition, Host, VirtualMachine

pytestmark = pytest.mark.django_db

VMS = "/ovirt-engine/api/vms"
#: As the Python SDK writes it, by names.
BY_NAME = "<vm><name>web01</name><cluster><name>Default</name></cluster><template><name>Blank</name></template></vm>"
#: As Ansible does: the template by its id, and all that a playbook may say.
BY_ID = f"""
<vm>
  <bios><boot_menu><enabled>false</enabled></boot_menu></bios>
  <cluster id="{CLUSTER_ID}"/>
  <cpu><topology><cores>2</cores><sockets>3</sockets><threads>1</threads></topology></cpu>
  <custom_properties>
    <custom_property><name>power_down_force</name><value>true</value></custom_property>
    <custom_property><name>power_down_delay</name><value>45</value></custom_property>
  </custom_properties>
  <description>The &lt;shop&gt;</description>
  <memory>536870912</memory>
  <name>web01</name>
  <os><boot><devices><device>network</device><device>hd</device></devices></boot></os>
  <placement_policy><hosts><host><name>kvm1</name></host></hosts></placement_policy>
  <stateless>true</stateless>
  <template id="{BLANK_ID}"/>
</vm>
"""


def own(name: str, value: str) -> str:
    """Write one custom property."""
    property_ = f"<custom_property><name>{name}</name><value>{value}</value></custom_property>"
    return f"<custom_properties>{property_}</custom_properties>"


def add(client: Client, body: str, **how: Any) -> Any:
    """Send a VM, in XML unless told otherwise."""
    return client.post(
        f"{VMS}?clone=false&clone_permissions=false", body, **({"content_type": "application/xml"} | how)
    )


def fault(answer: Any) -> tuple[int, str | None, str | None]:
    """Return the status of an answer, and what its fault says."""
    root = etree.fromstring(answer.content)
    assert root.tag == "fault"
    return answer.status_code, root.findtext("reason"), root.findtext("detail")


@pytest.fixture
def client_of(admin: User, host: Host) -> Client:
    """A client of somebody who may add VMs, with a host that answers."""
    return as_person(admin)


def test_by_names_it_is_created_and_locked(
    client_of: Client, woken: list[UUID], django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        answer = add(client_of, BY_NAME)
    assert answer.status_code == 201
    root = etree.fromstring(answer.content)
    vm = VirtualMachine.objects.get()
    assert (root.tag, root.get("id"), root.findtext("name")) == ("vm", str(vm.pk), "web01")
    assert (root.findtext("status"), root.findtext("memory")) == ("image_locked", str(1024 * MIB))
    assert woken == [vm.pk], "a worker has the host define it"
    again = etree.fromstring(client_of.get(f"{VMS}/{vm.pk}").content)
    assert etree.tostring(again) == etree.tostring(root)


def test_all_that_a_playbook_may_say_is_kept(client_of: Client) -> None:
    root = etree.fromstring(add(client_of, BY_ID).content)
    assert (root.findtext("description"), root.findtext("stateless")) == ("The <shop>", "true")
    assert [each.text for each in root.iterfind("custom_properties/custom_property/value")] == ["true", "45"]
    vm = VirtualMachine.objects.get()
    assert (vm.memory, vm.vcpus, vm.stored.boot) == (512 * MIB, 6, ("network", "hd"))
    assert (vm.policy_setting, vm.stateless, vm.host.name) == (Setting(True, 45), True, "kvm1")


def test_in_json(client_of: Client) -> None:
    sent = {
        "name": "web01",
        "memory": str(256 * MIB),
        "cluster": {"id": CLUSTER_ID},
        "power_down_policy": {"force": True, "graceful_delay": "0"},
    }
    answer = add(client_of, json.dumps(sent), content_type="application/json", headers={"Accept": "application/json"})
    assert answer.status_code == 201
    shown = json.loads(answer.content)
    assert (shown["name"], shown["status"], shown["power_down_policy"]["force"]) == ("web01", "image_locked", "true")
    assert VirtualMachine.objects.get().policy_setting == Setting(True, 0)


def test_the_portals_own_element_wins_over_properties(client_of: Client) -> None:
    element = "<power_down_policy><graceful_delay>10</graceful_delay></power_down_policy></vm>"
    add(client_of, BY_ID.replace("</vm>", element))
    assert VirtualMachine.objects.get().policy_setting == Setting(True, 10)


def test_the_correlation_id_is_kept(client_of: Client) -> None:
    add(client_of, BY_NAME, headers={"X-Request-ID": "playbook-7"})
    assert Addition.objects.get().correlation_id == "playbook-7"


@pytest.mark.parametrize("body", ["", "<vm/>", "<vm><name></name></vm>", "<vm><memory>1073741824</memory></vm>"])
def test_without_a_name_it_is_incomplete(client_of: Client, body: str) -> None:
    assert fault(add(client_of, body)) == (400, "Incomplete parameters", "[Vm [name] required for add]")


@pytest.mark.parametrize("status", [VmStatus.UP, VmStatus.IMAGE_LOCKED])
def test_a_name_in_use_is_a_conflict(client_of: Client, make_vm: MakeVm, status: VmStatus) -> None:
    make_vm("web01", status)
    words = "[Cannot add VM. The VM name is already in use, please choose a unique name and try again.]"
    assert fault(add(client_of, BY_NAME)) == (409, "Operation Failed", words)
    assert VirtualMachine.objects.count() == 1


@pytest.mark.parametrize(
    ("was", "becomes", "detail"),
    [
        ("<name>Default<", "<name>Other<", "[Entity not found: Cluster: name=Other]"),
        ("<cluster><name>Default</name></cluster>", '<cluster id="7"/>', "[Entity not found: Cluster: id=7]"),
        ("<name>Blank<", "<name>Debian<", "[Entity not found: Template: name=Debian]"),
        (
            "</vm>",
            "<placement_policy><hosts><host><name>kvm9</name></host></hosts></placement_policy></vm>",
            "[Entity not found: Host: name=kvm9]",
        ),
    ],
)
def test_what_is_not_there_is_named(client_of: Client, was: str, becomes: str, detail: str) -> None:
    assert fault(add(client_of, BY_NAME.replace(was, becomes))) == (404, "Not Found", detail)
    assert not VirtualMachine.objects.exists()


@pytest.mark.parametrize(
    "wrong",
    [
        "<memory>1000</memory>",
        "<memory>much</memory>",
        "<cpu><topology><cores>4096</cores><sockets>2</sockets></topology></cpu>",
        "<os><boot><devices><device>floppy</device></devices></boot></os>",
        "<os><boot><devices><device>hd</device><device>hd</device></devices></boot></os>",
        "<power_down_policy><graceful_delay>0</graceful_delay></power_down_policy>",
        own("sap_agent", "true"),
        own("power_down_delay", "4000"),
        own("power_down_delay", "-1"),
        own("power_down_force", "maybe"),
        "<cluster/>",
    ],
)
def test_what_cannot_be_is_a_fault_and_no_vm(client_of: Client, wrong: str) -> None:
    status, _reason, detail = fault(add(client_of, BY_NAME.replace("<name>web01</name>", f"<name>web01</name>{wrong}")))
    assert status == 400
    assert detail
    assert not VirtualMachine.objects.exists()


@pytest.mark.parametrize("name", ["web 01", "a/b", "x" * 256, "&lt;b&gt;"])
def test_names_that_no_client_could_write_are_refused(client_of: Client, name: str) -> None:
    status, reason, _detail = fault(add(client_of, BY_NAME.replace("web01", name)))
    assert (status, reason) == (400, "Invalid value")


def test_who_may_not_is_told_so_and_nothing_is_added(operator: User, host: Host) -> None:
    assert fault(add(as_person(operator), BY_NAME))[0] == 403
    assert add(Client(), BY_NAME).status_code == 401
    assert not VirtualMachine.objects.exists()


def test_a_host_that_somebody_does_not_see_is_none(outsider: User, host: Host) -> None:
    assert fault(add(as_person(outsider), BY_ID))[0] == 404


def test_without_a_host_that_answers_it_is_a_conflict(client_of: Client, host: Host) -> None:
    Host.objects.update(state=Host.State.UNREACHABLE)
    status, _reason, detail = fault(add(client_of, BY_NAME))
    assert (status, detail) == (409, "[Cannot add VM. No host that it could be added to answers.]")
