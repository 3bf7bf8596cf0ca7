"""What a VM looks like to clients, some of which take XML for lines of text."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from tests.api.conftest import as_person
from tests.api.wire import VMS, Wire
from tests.support.scene import MakeOperation, MakeVm, configuration, pending
from vms.api.ids import Row, id_of
from vms.domain.operation import Outcome
from vms.domain.power import Action, VmStatus
from vms.models import ConfigurationChange, Host, VirtualMachine

pytestmark = pytest.mark.django_db
GIB = 1 << 30
#: Without any of these, a client fails.
NEEDED = [
    "name",
    "description",
    "comment",
    "cpu/architecture",
    "cpu/topology/cores",
    "cpu/topology/sockets",
    "cpu/topology/threads",
    "memory",
    "memory_policy/guaranteed",
    "memory_policy/max",
    "status",
    "creation_time",
    "os/type",
    "os/boot/devices",
    "next_run_configuration_exists",
    "run_once",
    "stateless",
    "delete_protected",
    "start_paused",
    "type",
    "custom_properties",
    "power_down_policy/force",
    "power_down_policy/graceful_delay",
]


@pytest.mark.parametrize("status", [VmStatus.UP, VmStatus.DOWN])
def test_what_clients_need_is_there(viewer: User, make_vm: MakeVm, status: VmStatus) -> None:
    answer = Wire(viewer).get(make_vm(status=status))
    assert answer.root is not None
    assert [path for path in NEEDED if answer.root.find(path) is None] == []
    for path in ("cluster", "template", "original_template"):
        referred = answer.root.find(path)
        assert referred is not None
        assert (list(referred), referred.keys()) == ([], ["href", "id"])


def test_the_first_of_each_that_a_line_reader_finds_is_the_vms_own(viewer: User, vm: VirtualMachine) -> None:
    VirtualMachine.objects.filter(pk=vm.pk).update(force_power_off=True, graceful_delay=45)
    lines = Wire(viewer).get(vm).content.decode().splitlines()
    assert lines[1] == f'<vm href="{VMS}/{vm.pk}" id="{vm.pk}">'
    assert next(line.strip() for line in lines if "<name>" in line) == f"<name>{vm.name}</name>"
    assert next(line.strip() for line in lines if "<status>" in line) == "<status>up</status>"
    assert [line.count(' id="') for line in lines if "<vm " in line] == [1]
    assert all(line.count("<") <= 2 for line in lines[1:])


def test_the_members_come_in_the_order_that_clients_count_on(viewer: User, vm: VirtualMachine) -> None:
    root = Wire(viewer).get(vm).root
    assert root is not None
    tags = list(dict.fromkeys(child.tag for child in root))
    assert tags[:6] == ["actions", "name", "description", "comment", "link", "power_down_policy"]
    actions = {str(link.get("rel")): link.get("href") for link in root.iterfind("actions/link")}
    assert {"start", "stop", "shutdown", "reboot", "reset", "suspend"} <= set(actions)
    assert actions["start"] == f"{VMS}/{vm.pk}/start"
    assert {"tags", "numanodes", "nics", "diskattachments"} <= {link.get("rel") for link in root.iterfind("link")}


def test_a_collection_holds_nothing_but_its_members(viewer: User, make_vm: MakeVm) -> None:
    for name in ("web01", "web02"):
        make_vm(name)
    answer = Wire(viewer).get()
    assert answer.root is not None
    assert [child.tag for child in answer.root] == ["vm", "vm"]
    assert answer.texts("vm/name") == ["web01", "web02"]
    assert answer.content.count(b"<vm ") == 2


def test_empty_descriptions_are_written_in_the_long_form(viewer: User, vm: VirtualMachine) -> None:
    content = Wire(viewer).get(vm).content
    assert b"<description></description>" in content
    assert b"<comment></comment>" in content


@pytest.mark.parametrize("status", [status for status in VmStatus if status is not VmStatus.GONE])
def test_each_status_has_a_word_that_clients_know(viewer: User, make_vm: MakeVm, status: VmStatus) -> None:
    # The enumeration of the Python SDK; it reads any other word as none.
    known = [
        "down",
        "image_locked",
        "migrating",
        "not_responding",
        "paused",
        "powering_down",
        "powering_up",
        "reboot_in_progress",
        "restoring_state",
        "saving_state",
        "suspended",
        "unassigned",
        "unknown",
        "up",
        "wait_for_launch",
    ]
    word = Wire(viewer).get(make_vm(status=status)).text("status")
    assert word == status
    assert word in known


def test_a_vm_that_is_gone_from_its_host_is_gone_for_clients(admin: User, make_vm: MakeVm) -> None:
    gone, there = make_vm("gone", VmStatus.GONE), make_vm("there")
    wire = Wire(admin)
    assert wire.get().texts("vm/name") == [there.name]
    assert wire.get(gone).status == 404
    assert wire.delete(gone).status == 404
    assert wire.act(gone, "start").status == 404


def test_nobody_is_shown_what_they_may_not_see(outsider: User, vm: VirtualMachine) -> None:
    wire = Wire(outsider)
    assert wire.get().content.endswith(b"<vms/>\n")
    assert [wire.get(vm).status, wire.put(vm, "<vm/>").status, wire.delete(vm).status] == [404, 404, 404]
    assert wire.act(vm, "stop").status == 404


def test_what_waits_is_shown_to_those_who_ask_for_the_next_run(viewer: User, make_vm: MakeVm) -> None:
    vm = make_vm(**pending(memory=8 * GIB, vcpus=4, boot=("network", "hd")))
    wire = Wire(viewer)
    now, later = wire.get(vm), wire.get(vm, "?next_run=true")
    for answer, memory, sockets, devices in (
        (now, 4 * GIB, "2", ["hd"]),
        (later, 8 * GIB, "4", ["network", "hd"]),
    ):
        assert answer.text("memory") == answer.text("memory_policy/guaranteed") == str(memory)
        assert answer.text("cpu/topology/sockets") == sockets
        assert answer.texts("os/boot/devices/device") == devices
        assert answer.text("next_run_configuration_exists") == "true"
    assert wire.get(vm, ";next_run").text("memory") == str(8 * GIB)
    assert wire.get(vm, "?next_run=no").text("memory") == str(4 * GIB)
    assert wire.get(None, "?next_run=true").text("vm/memory") == str(8 * GIB)


def test_nothing_waits_where_nothing_runs(viewer: User, make_vm: MakeVm) -> None:
    vm = make_vm(status=VmStatus.DOWN, stored_configuration=configuration(memory=GIB))
    answer = Wire(viewer).get(vm)
    assert (answer.text("next_run_configuration_exists"), answer.text("memory")) == ("false", str(GIB))


def test_boot_devices_that_clients_have_no_word_for_are_left_out(viewer: User, make_vm: MakeVm) -> None:
    vm = make_vm(status=VmStatus.DOWN, stored_configuration=configuration(boot=("fd", "hd")))
    assert Wire(viewer).get(vm).texts("os/boot/devices/device") == ["hd"]


def test_a_kernel_that_is_booted_directly_is_shown(viewer: User, make_vm: MakeVm) -> None:
    stored = configuration(kernel="/boot/vmlinuz", initrd="/boot/initrd", command_line="quiet")
    answer = Wire(viewer).get(make_vm(status=VmStatus.DOWN, stored_configuration=stored))
    assert [answer.text(f"os/{name}") for name in ("kernel", "initrd", "cmdline")] == [
        "/boot/vmlinuz",
        "/boot/initrd",
        "quiet",
    ]


def test_a_description_that_waits_for_its_host_counts_at_once(viewer: User, vm: VirtualMachine) -> None:
    ConfigurationChange.objects.create(vm=vm, values={"description": "new"}, actor_name="ada", correlation_id="x")
    VirtualMachine.objects.filter(pk=vm.pk).update(change_waits=True)
    answer = Wire(viewer).get(vm)
    assert (answer.text("description"), answer.text("next_run_configuration_exists")) == ("new", "false")


def test_times_and_the_host_are_told_of_what_runs(viewer: User, make_vm: MakeVm, host: Host) -> None:
    since = timezone.now() - timedelta(hours=2)
    running = make_vm("running", running_since=since)
    down = make_vm("down", VmStatus.DOWN, down_since=since)
    wire = Wire(viewer)
    shown = wire.get(running)
    assert shown.text("start_time") == since.isoformat(timespec="milliseconds")
    assert (shown.ref("host"), shown.text("stop_time")) == (str(id_of(Row.HOST, host.pk)), None)
    shown = wire.get(down)
    assert shown.text("stop_time") == since.isoformat(timespec="milliseconds")
    assert (shown.ref("host"), shown.text("start_time")) == (None, None)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", shown.text("creation_time") or "")


def test_the_policy_is_shown_as_it_holds_and_as_it_is_set(viewer: User, make_vm: MakeVm) -> None:
    plain, own = make_vm("plain"), make_vm("own", force_power_off=True, graceful_delay=0)
    wire = Wire(viewer)
    shown = wire.get(plain)
    assert (shown.text("power_down_policy/force"), shown.text("power_down_policy/graceful_delay")) == ("false", "60")
    assert b"<custom_properties/>" in shown.content
    shown = wire.get(own)
    assert (shown.text("power_down_policy/force"), shown.text("power_down_policy/graceful_delay")) == ("true", "0")
    assert shown.texts("custom_properties/custom_property/name") == ["power_down_force", "power_down_delay"]
    assert shown.texts("custom_properties/custom_property/value") == ["true", "0"]


def test_why_it_was_brought_down_is_told_to_those_who_may_know(
    viewer: User, outsider: User, make_vm: MakeVm, make_operation: MakeOperation
) -> None:
    vm = make_vm(status=VmStatus.DOWN)
    make_operation(vm, Action.SHUT_DOWN, outcome=Outcome.CLEAN_AGENT, reason="moves to another rack")
    outsider.user_permissions.add(Permission.objects.get(codename="view_vm"))
    assert Wire(viewer).get(vm).text("stop_reason") == "moves to another rack"
    assert Wire(outsider).get(vm).text("stop_reason") is None
    make_operation(vm, Action.RUN, outcome=Outcome.DONE, reason="back", created_at=timezone.now())
    assert Wire(viewer).get(vm).text("stop_reason") is None


def test_json_says_the_same(viewer: User, make_vm: MakeVm) -> None:
    vm = make_vm(force_power_off=True, graceful_delay=45, **pending(memory=8 * GIB))
    headers = {"Accept": "application/json"}
    shown: dict[str, Any] = json.loads(as_person(viewer).get(f"{VMS}/{vm.pk}", headers=headers).content)
    assert shown["memory"] == str(4 * GIB)
    assert (shown["stateless"], shown["next_run_configuration_exists"]) == ("false", "true")
    assert shown["power_down_policy"] == {"force": "true", "graceful_delay": "45"}
    assert shown["custom_properties"]["custom_property"][1] == {"name": "power_down_delay", "value": "45"}
    assert shown["os"]["boot"]["devices"]["device"] == ["hd"]
    assert shown["cpu"]["topology"] == {"cores": "1", "sockets": "2", "threads": "1"}
    assert vm.running_since is not None
    assert shown["start_time"] == int(vm.running_since.timestamp() * 1000)
    assert {"rel": "tags", "href": f"{VMS}/{vm.pk}/tags"} in shown["link"]


def test_a_list_costs_as_many_queries_as_one(viewer: User, make_vm: MakeVm, make_operation: MakeOperation) -> None:
    def cost() -> int:
        with CaptureQueriesContext(connection) as queries:
            assert Wire(viewer).get().status == 200
        return len(queries)

    make_operation(make_vm("vm0"))
    one = cost()
    for number in range(1, 6):
        make_operation(make_vm(f"vm{number}", **pending(memory=8 * GIB)))
    assert cost() == one
