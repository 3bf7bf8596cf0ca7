"""Defining domains: the contract of every driver, and the XML that libvirt is given."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest
from lxml import etree

from tests.hypervisor.rigs import Rig
from tests.hypervisor.test_contract import contract, host, rig  # noqa: F401  (fixtures)
from tests.support.waiting import wait_until
from vms.domain.adding import BLANK
from vms.domain.configuration import MIB, Configuration, Part
from vms.domain.observation import DomainState
from vms.hypervisor import domain_xml, new_domain
from vms.hypervisor.base import ConfigurationRejected, DomainEvent, DomainNotFound
from vms.hypervisor.new_domain import Platform

WANTED = Configuration("A <shop> & more", 256 * MIB, 2, ("cdrom", "network"), "")
Define = Callable[..., str]


@pytest.fixture
def define(rig: Rig) -> Iterator[Define]:  # noqa: F811
    """Define a domain by the driver, which goes with the test; returns its UUID."""
    made: list[str] = []

    def call(name: str, wanted: Configuration = WANTED, *, identity: str = "") -> str:
        identity = identity or str(uuid.uuid4())
        made.append(identity)
        rig.hypervisor.define(identity, name, wanted)
        return identity

    yield call
    for identity in made:
        with suppress(DomainNotFound):
            rig.hypervisor.destroy(identity, None)
            rig.hypervisor.undefine(identity)


def a_name() -> str:
    """Return a name that no domain has."""
    return f"added-{uuid.uuid4().hex[:8]}"


@contract()
def test_defines_a_domain_as_it_was_described(rig: Rig, define: Define) -> None:  # noqa: F811
    name = a_name()
    found = rig.hypervisor.observe(define(name))
    assert (found.name, found.description, found.memory, found.vcpus) == (name, WANTED.description, WANTED.memory, 2)
    assert found.stored.value(Part.BOOT) == ("cdrom", "network")
    assert found.stored.cd_image == ""
    assert found.running is None
    seen = found.seen
    assert (seen.state, seen.persistent, seen.acpi, seen.agent_channel) == (DomainState.DOWN, True, True, True)
    assert not any(disk.may_go for disk in found.disks)


@contract()
def test_such_a_domain_runs(rig: Rig, define: Define) -> None:  # noqa: F811
    domain = define(a_name(), BLANK)
    rig.hypervisor.start(domain)
    assert rig.hypervisor.observe(domain).seen.state is DomainState.RUNNING


@contract()
def test_a_second_time_changes_nothing_not_even_what_was_changed_since(
    rig: Rig,  # noqa: F811
    define: Define,
) -> None:
    name = a_name()
    domain = define(name)
    rig.hypervisor.configure(domain, {Part.MEMORY: 512 * MIB})
    define(name, identity=domain)
    assert rig.hypervisor.observe(domain).stored.memory == 512 * MIB
    assert [found.name for found in rig.hypervisor.domains()].count(name) == 1


@contract()
def test_a_name_that_another_domain_has_is_refused(rig: Rig, define: Define) -> None:  # noqa: F811
    name = a_name()
    first = define(name)
    with pytest.raises(ConfigurationRejected, match="is there already"):
        define(name)
    assert [found.uuid for found in rig.hypervisor.domains() if found.name == name] == [first]


@contract()
def test_whoever_listens_hears_of_it(rig: Rig, define: Define) -> None:  # noqa: F811
    heard: list[DomainEvent] = []
    watch = rig.hypervisor.watch(heard.append, lambda reason: None)
    try:
        domain = define(a_name())
        wait_until(lambda: any(event.uuid == domain for event in heard), "the event has arrived")
    finally:
        watch.close()


# The XML


CAPABILITIES = """
<capabilities>
  <host><cpu><arch>x86_64</arch></cpu></host>
  <guest><os_type>hvm</os_type><arch name="aarch64"><domain type="qemu"/></arch></guest>
  <guest><os_type>exe</os_type><arch name="x86_64"><domain type="lxc"/></arch></guest>
  <guest><os_type>hvm</os_type><arch name="x86_64"><domain type="qemu"/>{kvm}</arch></guest>
</capabilities>
"""


@pytest.mark.parametrize(("kvm", "kind"), [('<domain type="kvm"/>', "kvm"), ("", "qemu")])
def test_guests_are_of_the_hosts_own_architecture_and_run_on_its_processors_where_they_can(kvm: str, kind: str) -> None:
    assert new_domain.platform_of(CAPABILITIES.format(kvm=kvm)) == Platform(kind, "x86_64")


def test_a_host_that_runs_no_machines_says_so() -> None:
    with pytest.raises(ConfigurationRejected, match="runs no virtual machines"):
        new_domain.platform_of("<capabilities><host><cpu><arch>x86_64</arch></cpu></host></capabilities>")


def test_its_screen_is_for_the_host_alone_and_it_has_no_disk_and_no_network() -> None:
    root = etree.fromstring(new_domain.xml("u", "web01", BLANK, Platform("kvm", "x86_64")))
    listen = root.find("devices/graphics[@type='vnc']/listen")
    assert listen is not None
    assert sorted(listen.items()) == [("address", "127.0.0.1"), ("type", "address")]
    assert [disk.get("device") for disk in root.iterfind("devices/disk")] == ["cdrom"]
    assert root.find("devices/interface") is None


@pytest.mark.parametrize("platform", [Platform("kvm", "x86_64"), Platform("qemu", "aarch64"), Platform("test", "i686")])
def test_what_is_written_is_read_back(platform: Platform) -> None:
    wanted = Configuration("A <shop> & more", 256 * MIB, 2, ("hd", "cdrom"), "/iso/a & b.iso")
    read = domain_xml.read(new_domain.xml("u", "web01", wanted, platform))
    assert (read.agent_channel, read.acpi, read.on_reboot) == (True, True, "restart")
    back = read.configuration
    assert (back.description, back.memory, back.vcpus, back.boot, back.cd_image) == (
        wanted.description,
        wanted.memory,
        wanted.vcpus,
        wanted.boot,
        wanted.cd_image,
    )
