"""PUT of a VM: only what is sent changes, what a run cannot take waits, and sending it again changes nothing more."""

from __future__ import annotations

import json

import pytest
from django.contrib.auth.models import User
from django.test import Client

from tests.api.conftest import as_person
from tests.api.wire import VMS, Wire
from tests.support.scene import MakeVm, pending
from vms.api.resources.vm import BLANK_ID, CLUSTER_ID
from vms.domain.power import EDITABLE, VmStatus
from vms.models import ConfigurationChange, Event, VirtualMachine

pytestmark = pytest.mark.django_db
GIB = 1 << 30
PROPERTY = "<custom_property><name>{}</name><value>{}</value></custom_property>"


def put_json(client: Client, vm: VirtualMachine, tree: object) -> tuple[int, dict[str, object]]:
    """Change a VM in the other form."""
    answer = client.put(
        f"{VMS}/{vm.pk}", json.dumps(tree), content_type="application/json", headers={"Accept": "application/json"}
    )
    return answer.status_code, json.loads(answer.content)


def waiting(vm: VirtualMachine) -> list[dict[str, object]]:
    """Return what the host is to store."""
    return [change.values for change in ConfigurationChange.objects.filter(vm=vm)]


def policy(vm: VirtualMachine) -> tuple[bool | None, int | None]:
    """Return what is set on the VM itself."""
    vm.refresh_from_db()
    return vm.force_power_off, vm.graceful_delay


def nothing_changed(vm: VirtualMachine) -> bool:
    """Say whether nothing was asked of the host, and nothing written down."""
    return not waiting(vm) and not Event.objects.filter(vm=vm).exists()


@pytest.mark.parametrize("query", ["", "?next_run=true&async=true"])
def test_what_a_run_cannot_take_waits_for_the_next(admin: User, vm: VirtualMachine, query: str) -> None:
    wire = Wire(admin)
    body = f"<vm><memory>{8 * GIB}</memory><cpu><topology><sockets>4</sockets></topology></cpu></vm>"
    answer = wire.put(vm, body, query)
    assert (answer.status, answer.text("memory"), answer.text("next_run_configuration_exists")) == (
        200,
        str(4 * GIB),
        "true",
    )
    assert waiting(vm) == [{"memory": 8 * GIB, "vcpus": 4}]
    later = wire.get(vm, "?next_run=true")
    assert (later.text("memory"), later.text("cpu/topology/sockets")) == (str(8 * GIB), "4")


def test_sending_it_again_changes_nothing_and_the_old_values_take_it_back(admin: User, vm: VirtualMachine) -> None:
    wire = Wire(admin)
    for _time in range(3):
        assert wire.put(vm, f"<vm><memory>{8 * GIB}</memory></vm>").status == 200
    assert waiting(vm) == [{"memory": 8 * GIB}]
    answer = wire.put(vm, f"<vm><memory>{4 * GIB}</memory></vm>")
    assert answer.text("next_run_configuration_exists") == "false"
    assert wire.get(vm, "?next_run=true").text("memory") == str(4 * GIB)


def test_what_ansible_always_sends_changes_nothing(admin: User, vm: VirtualMachine) -> None:
    body = f'<vm><name>{vm.name}</name><template id="{BLANK_ID}"/><cluster id="{CLUSTER_ID}"/></vm>'
    assert Wire(admin).put(vm, body).status == 200
    assert nothing_changed(vm)


def test_a_vm_that_was_read_can_be_sent_back(admin: User, make_vm: MakeVm) -> None:
    vm = make_vm(force_power_off=True, graceful_delay=45, **pending(kernel="/boot/vmlinuz"))
    client = as_person(admin)
    for query in ("", "?next_run=true"):
        shown = json.loads(client.get(f"{VMS}/{vm.pk}{query}", headers={"Accept": "application/json"}).content)
        assert put_json(client, vm, shown)[0] == 200
        assert Wire(admin).put(vm, Wire(admin).get(vm, query).content.decode().partition("\n")[2]).status == 200
    assert nothing_changed(vm)


@pytest.mark.parametrize(
    ("sent", "named"),
    [
        ("<name>other</name>", "name"),
        ("<type>desktop</type>", "type"),
        ("<os><type>windows_11</type></os>", "os.type"),
        ("<os><kernel>/boot/vmlinuz</kernel></os>", "os.kernel"),
        ("<start_paused>true</start_paused>", "start_paused"),
        ("<high_availability><enabled>1</enabled></high_availability>", "high_availability.enabled"),
        ("<cluster><name>Other</name></cluster>", "cluster.name"),
        ('<template id="11111111-1111-1111-1111-111111111111"/>', "template.id"),
    ],
)
def test_what_cannot_be_changed_is_refused_by_name(admin: User, vm: VirtualMachine, sent: str, named: str) -> None:
    answer = Wire(admin).put(vm, f"<vm><description>new</description>{sent}</vm>")
    assert (answer.status, answer.text("reason")) == (400, "Invalid value")
    assert f"vm.{named} cannot become" in answer.detail
    assert nothing_changed(vm)


def test_what_nobody_knows_counts_for_nothing(admin: User, vm: VirtualMachine) -> None:
    assert Wire(admin).put(vm, "<vm><usb><enabled>true</enabled></usb><status>down</status></vm>").status == 200
    assert nothing_changed(vm)


def test_a_description_holds_at_once(admin: User, vm: VirtualMachine) -> None:
    wire = Wire(admin)
    answer = wire.put(vm, "<vm><description>The web server</description></vm>")
    assert (answer.text("description"), answer.text("next_run_configuration_exists")) == ("The web server", "false")
    assert wire.put(vm, "<vm><description></description></vm>").text("description") == ""


@pytest.mark.parametrize(
    ("topology", "vcpus"),
    [
        ("<sockets>4</sockets>", 4),
        ("<cores>4</cores>", 4),
        ("<cores>2</cores><sockets>2</sockets><threads>2</threads>", 8),
        ("<threads>3</threads>", 3),
    ],
)
def test_a_topology_counts_the_same_however_often_it_is_sent(
    admin: User, vm: VirtualMachine, topology: str, vcpus: int
) -> None:
    for _time in range(2):
        assert Wire(admin).put(vm, f"<vm><cpu><topology>{topology}</topology></cpu></vm>").status == 200
    assert waiting(vm) == [{"vcpus": vcpus}]


def test_one_core_a_socket_is_no_change(admin: User, vm: VirtualMachine) -> None:
    body = "<vm><cpu><topology><cores>1</cores><threads>1</threads></topology></cpu></vm>"
    assert Wire(admin).put(vm, body).status == 200
    assert nothing_changed(vm)


def test_the_boot_order_is_the_whole_list(admin: User, vm: VirtualMachine) -> None:
    devices = "<device>network</device><device>hd</device>"
    body = f"<vm><os><boot><devices>{devices}</devices></boot></os></vm>"
    assert Wire(admin).put(vm, body).status == 200
    assert waiting(vm) == [{"boot": ["network", "hd"]}]


def test_a_comment_holds_at_once(admin: User, vm: VirtualMachine) -> None:
    wire = Wire(admin)
    for _time in range(2):
        assert wire.put(vm, "<vm><comment>Ask Grace.</comment></vm>").text("comment") == "Ask Grace."
    assert (waiting(vm), Event.objects.filter(vm=vm).count()) == ([], 1)
    assert put_json(as_person(admin), vm, {"comment": ""})[1]["comment"] == ""
    refused = put_json(as_person(admin), vm, {"comment": "a\u0007"})
    assert (refused[0], "comment" in str(refused[1]["detail"])) == (400, True)


@pytest.mark.parametrize("option", ["stateless", "delete_protected"])
def test_an_option_is_set_at_once(admin: User, vm: VirtualMachine, option: str) -> None:
    wire = Wire(admin)
    assert wire.put(vm, f"<vm><{option}>true</{option}></vm>").text(option) == "true"
    vm.refresh_from_db()
    assert getattr(vm, option) is True
    assert wire.put(vm, f"<vm><{option}>false</{option}></vm>").text(option) == "false"


def test_the_policy_can_be_written_as_custom_properties(admin: User, vm: VirtualMachine) -> None:
    wire = Wire(admin)
    both = PROPERTY.format("power_down_force", "true") + PROPERTY.format("power_down_delay", "45")
    answer = wire.put(vm, f"<vm><custom_properties>{both}</custom_properties></vm>")
    assert policy(vm) == (True, 45)
    assert (answer.text("power_down_policy/force"), answer.text("power_down_policy/graceful_delay")) == ("true", "45")
    # Without the element nothing changes; with it, what is missing follows the default.
    wire.put(vm, "<vm><description>x</description></vm>")
    assert policy(vm) == (True, 45)
    delay = PROPERTY.format("power_down_delay", "30")
    answer = wire.put(vm, f"<vm><custom_properties>{delay}</custom_properties></vm>")
    assert policy(vm) == (None, 30)
    assert answer.texts("custom_properties/custom_property/name") == ["power_down_delay"]
    wire.put(vm, "<vm><custom_properties/></vm>")
    assert policy(vm) == (None, None)


def test_the_policy_can_be_written_as_an_element_which_wins(admin: User, vm: VirtualMachine) -> None:
    wire = Wire(admin)
    wire.put(vm, "<vm><power_down_policy><graceful_delay>45</graceful_delay></power_down_policy></vm>")
    assert policy(vm) == (None, 45)
    answer = wire.put(
        vm,
        f"<vm><power_down_policy><force>true</force></power_down_policy><custom_properties>"
        f"{PROPERTY.format('power_down_force', 'false')}{PROPERTY.format('power_down_delay', '30')}"
        "</custom_properties></vm>",
    )
    assert policy(vm) == (True, 30)
    assert answer.texts("custom_properties/custom_property/value") == ["true", "30"]


def test_the_policy_in_json_takes_text_and_values(admin: User, vm: VirtualMachine) -> None:
    client = as_person(admin)
    status, shown = put_json(client, vm, {"power_down_policy": {"force": "true", "graceful_delay": "45"}})
    assert (status, shown["power_down_policy"]) == (200, {"force": "true", "graceful_delay": "45"})
    put_json(client, vm, {"power_down_policy": {"force": False, "graceful_delay": 30}})
    assert policy(vm) == (False, 30)
    put_json(client, vm, {"power_down_policy": None, "description": None})
    assert policy(vm) == (False, 30)
    put_json(client, vm, {"custom_properties": {}})
    assert policy(vm) == (None, None)


@pytest.mark.behaviour(4)
@pytest.mark.parametrize("delay", ["-1", "3601", "1.5", "abc", "1000000000000", "", "0"])
def test_a_delay_that_cannot_be_is_refused(admin: User, vm: VirtualMachine, delay: str) -> None:
    wire = Wire(admin)
    spellings = (
        f"<power_down_policy><graceful_delay>{delay}</graceful_delay></power_down_policy>",
        f"<custom_properties>{PROPERTY.format('power_down_delay', delay)}</custom_properties>",
    )
    for sent in spellings:
        answer = wire.put(vm, f"<vm><memory>{8 * GIB}</memory>{sent}</vm>")
        assert (answer.status, answer.text("reason")) == (400, "Invalid value")
        assert "delay" in answer.detail
    assert policy(vm) == (None, None)
    assert nothing_changed(vm)


@pytest.mark.parametrize(
    "sent",
    [
        PROPERTY.format("power_down_force", "maybe"),
        PROPERTY.format("sap_agent", "true"),
        PROPERTY.format("power_down_delay", "5") * 2,
        "<custom_property><value>5</value></custom_property>",
    ],
)
def test_a_custom_property_that_cannot_be_is_refused(admin: User, vm: VirtualMachine, sent: str) -> None:
    answer = Wire(admin).put(vm, f"<vm><custom_properties>{sent}</custom_properties></vm>")
    assert answer.status == 400
    assert "custom property" in answer.detail
    assert policy(vm) == (None, None)


@pytest.mark.parametrize(
    "sent",
    [
        "<memory>1000</memory>",
        "<memory></memory>",
        "<memory>lots</memory>",
        "<memory><bytes>5</bytes></memory>",
        "<cpu><topology><sockets>4096</sockets><cores>4096</cores></topology></cpu>",
        "<os><boot><devices><device>floppy</device></devices></boot></os>",
        "<os><boot><devices/></boot></os>",
        "<stateless>perhaps</stateless>",
        "<description>a\u0001</description>",
    ],
)
def test_what_no_vm_can_have_is_refused(admin: User, vm: VirtualMachine, sent: str) -> None:
    answer = Wire(admin).put(vm, f"<vm>{sent}</vm>")
    assert answer.status == 400
    assert len(answer.detail) > 10
    assert nothing_changed(vm)


@pytest.mark.parametrize("status", sorted(set(VmStatus) - EDITABLE - {VmStatus.GONE}))
def test_where_the_status_is_in_the_way_nothing_is_changed(admin: User, make_vm: MakeVm, status: VmStatus) -> None:
    vm = make_vm(status=status)
    delay = "<power_down_policy><graceful_delay>45</graceful_delay></power_down_policy>"
    answer = Wire(admin).put(vm, f"<vm><memory>{8 * GIB}</memory>{delay}</vm>")
    assert answer.status == 409
    assert policy(vm) == (None, None)
    assert Wire(admin).put(vm, f"<vm>{delay}</vm>").status == 200
    assert policy(vm) == (None, 45)


@pytest.mark.parametrize("body", ["<vm/>", "<vm><description>mine</description></vm>"])
def test_who_may_only_look_may_not_even_change_nothing(viewer: User, vm: VirtualMachine, body: str) -> None:
    answer = Wire(viewer).put(vm, body)
    assert (answer.status, answer.detail) == (403, "[User is not authorized to perform this action.]")
    assert nothing_changed(vm)


def test_deeply_nested_json_is_refused(admin: User, vm: VirtualMachine) -> None:
    client = as_person(admin)
    body = '{"os":' * 500 + "1" + "}" * 500
    answer = client.put(f"{VMS}/{vm.pk}", body, content_type="application/json")
    assert answer.status_code == 400
    assert nothing_changed(vm)
