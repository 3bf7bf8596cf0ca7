"""Hosts over the API."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from tests.api.asking import NOBODYS, asked, get, names, reference
from tests.api.conftest import as_person
from tests.support.scene import MakeVm, the_role
from vms.domain.power import VmStatus
from vms.models import Assignment, Host, VirtualMachine

pytestmark = pytest.mark.django_db


def test_one_is_found_where_its_vm_refers_to_it(operator: User, vm: VirtualMachine, make_vm: MakeVm) -> None:
    make_vm("down", status=VmStatus.DOWN)
    client = as_person(operator)
    shown = get(client, reference(get(client, f"/vms/{vm.pk}"), "host"))
    assert (shown.findtext("name"), shown.findtext("status")) == (vm.host.name, "up")
    assert (shown.findtext("summary/active"), shown.findtext("summary/total")) == ("1", "2")
    assert get(client, reference(shown, "cluster")).findtext("name") == "Default"
    # Without these `ovirt_host` fails.
    for needed in ("os/custom_kernel_cmdline", "power_management/kdump_detection", "spm/priority", "address"):
        assert shown.find(needed) is not None, needed


@pytest.mark.parametrize(
    ("state", "heard", "status"),
    [
        (Host.State.NEW, None, "connecting"),
        (Host.State.CONNECTED, timedelta(minutes=1), "up"),
        (Host.State.CONNECTED, timedelta(minutes=-1), "non_responsive"),
        (Host.State.UNREACHABLE, timedelta(minutes=1), "non_responsive"),
    ],
)
def test_its_status_in_ovirts_words(
    operator: User, host: Host, state: Host.State, heard: timedelta | None, status: str
) -> None:
    Host.objects.update(state=state, watched_until=timezone.now() + heard if heard else None)
    assert names(get(as_person(operator), "/hosts"), "status") == [status]


def test_those_that_somebody_may_not_see_are_not_there(operator: User, outsider: User, host: Host) -> None:
    other = Host.objects.create(name="kvm2", uri="qemu+ssh://kvm2/system")
    Assignment.objects.create(user=outsider, role=the_role("Viewer"), host=other)
    seen = {host.get("id"): host.findtext("name") for host in get(as_person(operator), "/hosts")}
    assert sorted(map(str, seen.values())) == ["kvm1", "kvm2"]
    client = as_person(outsider)
    assert names(get(client, "/hosts")) == ["kvm2"]
    for host_id, name in seen.items():
        get(client, f"/hosts/{host_id}", status=200 if name == "kvm2" else 404)


def test_the_list_asks_the_same_for_three_and_for_thirty(operator: User, host: Host) -> None:
    client = as_person(operator)

    def add(*numbers: int) -> None:
        for number in numbers:
            Host.objects.create(name=f"more{number}", uri=f"qemu+ssh://more{number}/system")

    add(1, 2)
    three = asked(client, "/hosts")
    add(*range(3, 30))
    assert len(get(client, "/hosts")) == 30
    assert asked(client, "/hosts") == three


@pytest.mark.parametrize("host_id", [NOBODYS, "1", "kvm1", "0", "9" * 40])
def test_what_is_no_host_is_not_found(operator: User, host: Host, host_id: str) -> None:
    get(as_person(operator), f"/hosts/{host_id}", status=404)
