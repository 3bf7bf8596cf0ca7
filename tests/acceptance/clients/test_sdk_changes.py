"""oVirt's Python SDK adds, changes and removes VMs. Source: REST contract, 3, 5.1 and 7."""

from __future__ import annotations

from collections.abc import Iterator

import ovirtsdk4
import pytest
from ovirtsdk4 import types

from tests.acceptance.clients import sdk
from tests.acceptance.clients.conftest import Guest
from vms.hypervisor.fake import STUBBORN

GIB = 1 << 30


@pytest.fixture(scope="module")
def connection(api: str) -> Iterator[ovirtsdk4.Connection]:
    """The administrator, connected."""
    with sdk.connected(api) as connection:
        yield connection


def properties(vm: types.Vm) -> dict[str, str]:
    """Return a VM's custom properties."""
    return {found.name: found.value for found in vm.custom_properties or []}


def custom(**wanted: str) -> list[types.CustomProperty]:
    """Write custom properties down as the SDK wants them."""
    return [types.CustomProperty(name=name, value=value) for name, value in wanted.items()]


def test_what_a_running_vm_cannot_take_waits_for_its_next_run(connection: ovirtsdk4.Connection, guest: Guest) -> None:
    guest("grows", memory=GIB)
    service = sdk.vm_service(connection, "grows")
    answer = service.update(types.Vm(memory=2 * GIB, description="grows"), next_run=True)
    assert answer.id == service.get().id
    now, then = service.get(), service.get(next_run=True)
    assert (now.memory, now.next_run_configuration_exists) == (GIB, True)
    assert then.memory == 2 * GIB
    assert then.description == "grows"
    service.update(types.Vm(memory=2 * GIB), next_run=True)
    service.reboot()
    after = sdk.wait_for(service, types.VmStatus.UP)
    assert (after.memory, after.next_run_configuration_exists) == (2 * GIB, False)


@pytest.mark.behaviour(11)
def test_what_waits_is_gone_when_it_is_put_back(connection: ovirtsdk4.Connection, guest: Guest) -> None:
    guest("wavers", memory=GIB)
    service = sdk.vm_service(connection, "wavers")
    service.update(types.Vm(memory=2 * GIB))
    assert service.get().next_run_configuration_exists
    service.update(types.Vm(memory=GIB))
    assert not service.get().next_run_configuration_exists


def test_only_what_is_sent_changes(connection: ovirtsdk4.Connection, guest: Guest) -> None:
    guest("steady", running=False, memory=GIB, vcpus=2)
    service = sdk.vm_service(connection, "steady")
    before = service.get()
    service.update(types.Vm(name=before.name, template=types.Template(id=before.template.id), description="Ours."))
    after = service.get()
    assert (after.description, after.memory, after.cpu.topology.sockets) == ("Ours.", GIB, before.cpu.topology.sockets)
    service.update(types.Vm(description=""))
    assert service.get().description == ""


def test_the_policy_goes_there_and_back_by_custom_properties(connection: ovirtsdk4.Connection, guest: Guest) -> None:
    guest("polite", STUBBORN)
    service = sdk.vm_service(connection, "polite")
    assert properties(service.get()) == {}
    both = {"power_down_force": "true", "power_down_delay": "2"}
    service.update(types.Vm(custom_properties=custom(**both)))
    assert properties(service.get()) == both
    service.update(types.Vm(description="Nothing of that."))
    assert properties(service.get()) == both
    job = sdk.job_of(connection, service.reboot)
    assert sdk.wait_ended(job).status == types.JobStatus.FINISHED
    sdk.wait_for(service, types.VmStatus.UP)
    service.update(types.Vm(custom_properties=custom(power_down_delay="3")))
    assert properties(service.get()) == {"power_down_delay": "3"}
    service.update(types.Vm(custom_properties=[]))
    assert properties(service.get()) == {}


@pytest.mark.parametrize("wrong", [{"power_down_delay": "soon"}, {"power_down_delay": "3601"}, {"colour": "red"}])
def test_a_property_that_cannot_be_is_named(
    connection: ovirtsdk4.Connection, guest: Guest, wrong: dict[str, str]
) -> None:
    (name,) = wrong
    guest(f"wrong-{wrong[name]}", running=False)
    service = sdk.vm_service(connection, f"wrong-{wrong[name]}")
    with pytest.raises(ovirtsdk4.Error) as refused:
        service.update(types.Vm(custom_properties=custom(**wrong)))
    assert refused.value.code == 400
    assert name in refused.value.fault.detail
    assert properties(service.get()) == {}


def test_a_vm_is_added_run_and_removed(connection: ovirtsdk4.Connection, guest: Guest) -> None:
    guest("neighbour", running=False)
    (cluster,) = connection.system_service().clusters_service().list()
    wanted = types.Vm(
        name="made",
        description="By a script.",
        memory=GIB,
        cluster=types.Cluster(name=cluster.name),
        template=types.Template(name="Blank"),
    )
    added = sdk.vms(connection).add(wanted)
    service = sdk.vms(connection).vm_service(added.id)
    shown = sdk.wait_for(service, types.VmStatus.DOWN)
    assert (shown.name, shown.description, shown.memory) == ("made", "By a script.", GIB)
    with pytest.raises(ovirtsdk4.Error) as taken:
        sdk.vms(connection).add(wanted)
    assert taken.value.code == 409
    service.start()
    sdk.wait_for(service, types.VmStatus.UP)
    with pytest.raises(ovirtsdk4.Error) as refused:
        service.remove()
    assert refused.value.code == 409
    service.stop()
    sdk.wait_for(service, types.VmStatus.DOWN)
    service.remove(detach_only=True)
    sdk.wait_gone(service)
    assert [vm.name for vm in sdk.vms(connection).list(search="name=made")] == []


def test_a_vm_without_a_name_is_not_added(connection: ovirtsdk4.Connection) -> None:
    with pytest.raises(ovirtsdk4.Error) as refused:
        sdk.vms(connection).add(types.Vm(memory=GIB))
    assert (refused.value.code, refused.value.fault.reason) == (400, "Incomplete parameters")
    assert "Vm [name]" in refused.value.fault.detail
