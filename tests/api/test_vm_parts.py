"""What is below one VM: what the portal knows of it, and nothing, under the right name, where it knows nothing."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from lxml import etree

from tests.api.asking import API, asked, get, get_json, names, reference
from tests.api.conftest import as_person
from tests.support.scene import MakeVm, configuration
from vms.domain.disks import Disk, Kept
from vms.domain.power import VmStatus
from vms.models import Glimpse, Sample, VirtualMachine

pytestmark = pytest.mark.django_db

#: Each address below a VM, with the only name that clients take its list by.
LISTS = {
    "affinitylabels": "affinity_labels",
    "applications": "applications",
    "cdroms": "cdroms",
    "diskattachments": "disk_attachments",
    "graphicsconsoles": "graphics_consoles",
    "nics": "nics",
    "numanodes": "vm_numa_nodes",
    "permissions": "permissions",
    "reporteddevices": "reported_devices",
    "sessions": "sessions",
    "snapshots": "snapshots",
    "statistics": "statistics",
    "tags": "tags",
}


@pytest.mark.parametrize(("below", "name"), LISTS.items())
def test_each_list_has_the_name_that_clients_expect_and_is_hidden_with_its_vm(
    operator: User, outsider: User, vm: VirtualMachine, below: str, name: str
) -> None:
    client = as_person(operator)
    assert get(client, f"/vms/{vm.pk}/{below}").tag == name
    assert isinstance(get_json(client, f"/vms/{vm.pk}/{below}"), dict)
    assert get(as_person(outsider), f"/vms/{vm.pk}/{below}", status=404).tag == "fault"
    get(client, f"/vms/none/{below}", status=404)


def figures(statistics: etree._Element) -> dict[str | None, str | None]:
    return {each.findtext("name"): each.findtext("values/value/datum") for each in statistics}


def test_statistics_are_those_of_the_newest_sample(operator: User, vm: VirtualMachine) -> None:
    now = timezone.now()
    for age, cpu in ((60, 0.9), (5, 0.125)):
        Sample.objects.create(
            vm=vm,
            at=now - timedelta(seconds=age),
            resolution=10,
            cpu=cpu,
            memory_used=1 << 34,
            net_received=1000,
            disk_written=0,
        )
    client = as_person(operator)
    listed = get(client, f"/vms/{vm.pk}/statistics")
    assert figures(listed) == {
        "memory.installed": str(4 << 30),
        "memory.used": str(1 << 34),
        "cpu.current.total": "12.5",
        "data.current.write": "0",
        "data.current.rx.bps": "1000",
    }
    assert {each.findtext("kind") for each in listed} == {"gauge"}
    # Numbers, where every other scalar is text.
    told = {each["name"]: each["values"]["value"] for each in get_json(client, f"/vms/{vm.pk}/statistics")["statistic"]}
    assert told["cpu.current.total"] == [{"datum": 12.5}]


def test_those_of_an_earlier_run_are_none_of_this_one(operator: User, vm: VirtualMachine, make_vm: MakeVm) -> None:
    down, began = make_vm("down", status=VmStatus.DOWN), vm.running_since
    assert began is not None
    for machine in (vm, down):
        Sample.objects.create(vm=machine, at=began - timedelta(seconds=1), resolution=10, cpu=0.5)
        shown = figures(get(as_person(operator), f"/vms/{machine.pk}/statistics"))
        assert list(shown) == ["memory.installed"]


def test_its_devices_by_its_stored_configuration(operator: User, make_vm: MakeVm) -> None:
    disks = (
        Disk("sda", "", Kept.EMPTY),
        Disk("vda", "/images/web01.qcow2"),
        Disk("sdb", "/images/shared.img", Kept.SHARED),
        Disk("sdc", "/iso/install.iso", Kept.MEDIUM),
    )
    stored = configuration(
        cd_image="/iso/install.iso",
        interfaces=("network default virtio 52:54:00:00:00:01", "bridge br0 e1000e 52:54:00:00:00:02", "user"),
    )
    vm = make_vm("web01", stored_configuration=stored, disks=[disk.as_json() for disk in disks])
    client = as_person(operator)
    attached = get(client, f"/vms/{vm.pk}/diskattachments")
    assert [[each.findtext(name) for name in ("logical_name", "bootable", "interface")] for each in attached] == [
        ["vda", "true", "virtio"],
        ["sdb", "false", None],
    ]
    assert names(attached, "disk/name") == ["/images/web01.qcow2", "/images/shared.img"]
    assert reference(attached[0], "vm") == f"/vms/{vm.pk}"
    assert get_json(client, f"/vms/{vm.pk}/cdroms")["cdrom"][0]["file"] == {"id": "/iso/install.iso"}
    nics = get(client, f"/vms/{vm.pk}/nics")
    assert names(nics) == ["nic1", "nic2", "nic3"]
    assert names(nics, "mac/address") == ["52:54:00:00:00:01", "52:54:00:00:00:02", None]
    assert names(nics, "interface") == ["virtio", None, None]
    assert names(nics, "network_name") == ["default", "br0", None]
    # The same ids each time, and one for each.
    assert len({nic.get("id") for nic in nics}) == 3
    assert [nic.get("id") for nic in get(client, f"/vms/{vm.pk}/nics")] == [nic.get("id") for nic in nics]


def says(element: etree._Element) -> list[object]:
    """Return all that an element says, however far it is indented."""
    return [(str(each.tag), each.items(), (each.text or "").strip()) for each in element.iter()]


def test_each_is_at_its_own_address(operator: User, outsider: User, make_vm: MakeVm) -> None:
    stored = configuration(interfaces=["network default virtio 52:54:00:00:00:01", "user"])
    disks = [Disk("vda", "/images/web01.qcow2").as_json()]
    vm, other = (make_vm(name, stored_configuration=stored, disks=disks) for name in ("web01", "web02"))
    client = as_person(operator)
    for below in ("cdroms", "diskattachments", "nics", "statistics"):
        for part in get(client, f"/vms/{vm.pk}/{below}"):
            href = part.get("href", "").removeprefix(API)
            assert says(get(client, href)) == says(part)
            get(as_person(outsider), href, status=404)
            get(client, f"/vms/{other.pk}/{below}/{part.get('id')}", status=404)


def test_one_without_a_drive_has_none_and_an_empty_one_has_no_file(operator: User, make_vm: MakeVm) -> None:
    client = as_person(operator)
    without = make_vm("without", stored_configuration=configuration(cd_image=None))
    assert len(get(client, f"/vms/{without.pk}/cdroms")) == 0
    empty = make_vm("empty", stored_configuration=configuration(cd_image=""))
    drives = get(client, f"/vms/{empty.pk}/cdroms")
    assert [drive.find("file") for drive in drives] == [None]


def test_the_addresses_that_the_agent_told_and_it_is_asked_again(operator: User, vm: VirtualMachine) -> None:
    client, path = as_person(operator), f"/vms/{vm.pk}/reporteddevices"
    assert len(get(client, path)) == 0
    glimpse = Glimpse.objects.get(vm=vm, kind=Glimpse.Kind.GUEST)
    assert glimpse.waits
    Glimpse.objects.update(facts={"addresses": ["192.0.2.7", "2001:db8::7"]}, taken_at=timezone.now())
    (device,) = get(client, path)
    told = [(ip.findtext("address"), ip.findtext("version")) for ip in device.iterfind("ips/ip")]
    assert told == [("192.0.2.7", "v4"), ("2001:db8::7", "v6")]


@pytest.mark.parametrize("below", ["diskattachments", "nics", "statistics"])
def test_the_lists_ask_the_same_for_three_and_for_thirty(operator: User, make_vm: MakeVm, below: str) -> None:
    client = as_person(operator)

    def queries(count: int) -> int:
        vm = make_vm(
            f"vm{count}",
            disks=[Disk(f"vd{number}", f"/images/{number}").as_json() for number in range(count)],
            stored_configuration=configuration(interfaces=[f"network net{number} virtio" for number in range(count)]),
        )
        for number in range(count):
            at = timezone.now() - timedelta(seconds=number)
            Sample.objects.create(vm=vm, at=at, resolution=10, cpu=0.5, memory_used=1)
        if below != "statistics":
            assert len(get(client, f"/vms/{vm.pk}/{below}")) == count
        return asked(client, f"/vms/{vm.pk}/{below}")

    assert queries(3) == queries(30)
