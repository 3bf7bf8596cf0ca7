"""oVirt's Python SDK looks at things, and is told no. Source: REST contract, 2, 3, 6 and 9."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import ovirtsdk4
import pytest
from ovirtsdk4 import types

from tests.acceptance.clients import sdk
from tests.acceptance.clients.conftest import Guest, Person
from tests.acceptance.instance import PASSWORD
from vms.models import VirtualMachine


@pytest.fixture(scope="module")
def machines(guest: Guest) -> dict[str, VirtualMachine]:
    """VMs whose names begin alike, by their names."""
    found = [guest("web0"), guest("web01", memory=1 << 30, vcpus=2), guest("web02", running=False)]
    return {machine.name: machine for machine in found}


@pytest.fixture(scope="module")
def connection(api: str, machines: dict[str, VirtualMachine]) -> Iterator[ovirtsdk4.Connection]:
    """The administrator, connected; the VMs are there."""
    with sdk.connected(api) as connection:
        yield connection


def names(connection: ovirtsdk4.Connection, **parameters: object) -> list[str]:
    """Return the names of the VMs of a list."""
    return [vm.name for vm in sdk.vms(connection).list(**parameters)]


def test_it_connects_and_is_told_what_this_is(connection: ovirtsdk4.Connection) -> None:
    assert connection.test(raise_exception=True)
    about = connection.system_service().get()
    assert about.product_info.version.major == 4
    assert (about.summary.vms.total, about.summary.vms.active) == (3, 2)


def test_a_slash_at_the_end_of_the_address_does_no_harm(api: str, connection: ovirtsdk4.Connection) -> None:
    with sdk.connected(f"{api}/") as other:
        assert names(other) == names(connection)


def test_the_list_has_every_vm_and_nothing_else(
    connection: ovirtsdk4.Connection, machines: dict[str, VirtualMachine]
) -> None:
    found = {vm.name: vm for vm in sdk.vms(connection).list()}
    assert {name: vm.id for name, vm in found.items()} == {name: str(vm.pk) for name, vm in machines.items()}
    assert found["web01"].status == types.VmStatus.UP
    assert found["web02"].status == types.VmStatus.DOWN


def test_one_vm_is_shown_with_what_scripts_read(connection: ovirtsdk4.Connection) -> None:
    vm = sdk.vm_service(connection, "web01").get()
    topology = vm.cpu.topology
    assert topology.cores * topology.sockets * topology.threads == 2
    assert vm.memory == 1 << 30
    assert vm.start_time.tzinfo is not None
    assert (vm.run_once, vm.stateless, vm.next_run_configuration_exists) == (False, False, False)
    assert connection.follow_link(vm.cluster).name
    assert connection.follow_link(vm.template).name == "Blank"
    assert connection.follow_link(vm.host).status == types.HostStatus.UP
    assert sdk.vm_service(connection, "web02").get().host is None


def test_every_link_of_a_vm_can_be_followed(connection: ovirtsdk4.Connection) -> None:
    vm = sdk.vm_service(connection, "web01").get()
    followed = [
        vm.applications,
        vm.cdroms,
        vm.disk_attachments,
        vm.graphics_consoles,
        vm.nics,
        vm.numa_nodes,
        vm.permissions,
        vm.reported_devices,
        vm.sessions,
        vm.snapshots,
        vm.statistics,
        vm.tags,
    ]
    assert [link for link in followed if link is None] == []
    for link in followed:
        assert isinstance(connection.follow_link(link), list)


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"search": "name=web0"}, ["web0"]),
        ({"search": 'name="web01"'}, ["web01"]),
        ({"search": "name=web0*"}, ["web0", "web01", "web02"]),
        ({"search": "name=WEB0*"}, ["web0", "web01", "web02"]),
        ({"search": "name=WEB0*", "case_sensitive": True}, []),
        ({"search": "status=down"}, ["web02"]),
        ({"search": "name=web0* and status=up sortby name desc"}, ["web01", "web0"]),
        ({"search": "name=web01 or name=web02"}, ["web01", "web02"]),
        ({"search": "sortby name asc", "max": 2}, ["web0", "web01"]),
        ({"search": "name=nothing"}, []),
    ],
)
def test_it_searches(connection: ovirtsdk4.Connection, parameters: dict[str, object], expected: list[str]) -> None:
    found = names(connection, **parameters)
    assert (found if "sortby" in str(parameters) else sorted(found)) == expected


def test_a_search_that_means_nothing_is_refused(connection: ovirtsdk4.Connection) -> None:
    with pytest.raises(ovirtsdk4.Error) as refused:
        names(connection, search="colour=red")
    assert refused.value.code == 400
    assert "colour" in refused.value.fault.detail


def test_a_wrong_password_is_told_as_such(api: str) -> None:
    with sdk.connected(api, password="a wrong password") as connection, pytest.raises(ovirtsdk4.AuthError) as refused:
        connection.authenticate()
    assert "access_denied" in str(refused.value)


def test_a_token_that_has_ended_is_renewed_by_who_knows_the_password_and_by_nobody_else(api: str) -> None:
    with sdk.connected(api) as connection:
        token = connection.authenticate()
    with sdk.connected(api, token=token) as connection:
        assert names(connection)
        assert connection.authenticate() != token
    with sdk.connected(api, None, None, token=token) as stranger, pytest.raises(ovirtsdk4.AuthError):
        names(stranger)


def test_a_token_is_enough_while_it_lasts(api: str) -> None:
    with sdk.connected(api) as connection:
        other = ovirtsdk4.Connection(url=api, token=connection.authenticate())
        assert names(other)
        other.close(logout=False)
        assert names(connection)


def test_what_is_not_there_is_told_as_such(connection: ovirtsdk4.Connection) -> None:
    nowhere = sdk.vms(connection).vm_service(str(uuid4()))
    for ask in (nowhere.get, nowhere.start, nowhere.remove):
        with pytest.raises(ovirtsdk4.NotFoundError) as refused:
            ask()
        assert refused.value.code == 404


def test_somebody_sees_what_is_theirs_and_may_do_what_they_may(
    api: str, person: Person, machines: dict[str, VirtualMachine]
) -> None:
    with sdk.connected(api, person("vera", "Viewer", machines["web01"])) as connection:
        assert names(connection) == ["web01"]
        with pytest.raises(ovirtsdk4.NotFoundError):
            sdk.vms(connection).vm_service(str(machines["web0"].pk)).get()
        with pytest.raises(ovirtsdk4.AuthError) as refused:
            sdk.vm_service(connection, "web01").stop()
        assert refused.value.code == 403
        assert "not authorized" in refused.value.fault.detail
    machines["web01"].refresh_from_db()
    assert machines["web01"].status == "up"


def test_what_cannot_be_done_now_is_refused_with_the_reason(connection: ovirtsdk4.Connection) -> None:
    with pytest.raises(ovirtsdk4.Error) as refused:
        sdk.vm_service(connection, "web01").start()
    assert refused.value.code == 409
    assert refused.value.fault.reason == "Operation Failed"
    assert refused.value.fault.detail.startswith("[")


def test_events_are_found_by_the_correlation_id_newest_first(
    connection: ovirtsdk4.Connection, machines: dict[str, VirtualMachine]
) -> None:
    service = sdk.vm_service(connection, "web02")
    service.start(headers={"Correlation-Id": "sdk-start-1"})
    sdk.wait_for(service, types.VmStatus.UP)
    events = connection.system_service().events_service()
    found = events.list(search="correlation_id=sdk-start-1")
    assert {event.correlation_id for event in found} == {"sdk-start-1"}
    # Who asks may have logged in by the same request, which is of no VM.
    assert {event.vm.id for event in found if event.vm} == {str(machines["web02"].pk)}
    everything = events.list(max=5)
    indexes = [event.index for event in everything]
    assert indexes == sorted(indexes, reverse=True)
    assert [int(event.id) for event in everything] == indexes
    newest = everything[0]
    assert events.list(from_=newest.index - 1)[-1].id == newest.id
    assert events.list(from_=newest.index + 1000) == []
    service.stop()
    sdk.wait_for(service, types.VmStatus.DOWN)


def test_an_event_of_ones_own_is_added_and_one_without_its_parts_is_not(connection: ovirtsdk4.Connection) -> None:
    events = connection.system_service().events_service()
    added = events.add(
        types.Event(
            origin="backup",
            severity=types.LogSeverity.WARNING,
            custom_id=4711,
            description="The backup of web01 took too long.",
        )
    )
    again = events.event_service(added.id).get()
    assert (again.description, again.severity, again.custom_id) == (
        "The backup of web01 took too long.",
        types.LogSeverity.WARNING,
        4711,
    )
    with pytest.raises(ovirtsdk4.Error) as refused:
        events.add(types.Event(description="Of nobody."))
    assert (refused.value.code, refused.value.fault.reason) == (400, "Incomplete parameters")


def test_tags_are_made_put_on_searched_by_and_removed(connection: ovirtsdk4.Connection) -> None:
    tags = connection.system_service().tags_service()
    made = tags.add(types.Tag(name="prod"))
    on_vm = sdk.vm_service(connection, "web01").tags_service()
    on_vm.add(types.Tag(name="prod"))
    assert [tag.name for tag in on_vm.list()] == ["prod"]
    assert names(connection, search="tag=prod") == ["web01"]
    on_vm.tag_service(made.id).remove()
    assert on_vm.list() == []
    tags.tag_service(made.id).remove()
    with pytest.raises(ovirtsdk4.NotFoundError):
        tags.tag_service(made.id).get()
    with pytest.raises(ovirtsdk4.NotFoundError):
        on_vm.add(types.Tag(name="prod"))


def test_hosts_clusters_templates_users_and_roles_are_listed(connection: ovirtsdk4.Connection) -> None:
    system = connection.system_service()
    (host,) = system.hosts_service().list()
    assert host.status == types.HostStatus.UP
    (cluster,) = system.clusters_service().list()
    assert system.clusters_service().cluster_service(cluster.id).get().name == cluster.name
    assert "Blank" in [template.name for template in system.templates_service().list()]
    assert "admin@internal" in [user.user_name.removesuffix("-authz") for user in system.users_service().list()]
    assert system.roles_service().list()


def test_the_administrators_name_may_have_no_domain(api: str) -> None:
    with sdk.connected(api, "admin", PASSWORD) as connection:
        assert names(connection)
