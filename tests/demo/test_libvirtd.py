"""The private libvirtd that other tests stand on: isolated, killable, and gone without a trace."""

import libvirt
import pytest

from tests.support.libvirtd import LibvirtdError, PrivateLibvirtd
from vms.demo.guests import DEMO_GUESTS, domain_xml, guest_uuid
from vms.demo.image import GuestImage


def test_two_daemons_know_nothing_of_each_other() -> None:
    xml = "<domain type='qemu'><name>mine</name><memory>65536</memory><os><type>hvm</type></os></domain>"
    with PrivateLibvirtd() as one, PrivateLibvirtd() as other:
        first, second = libvirt.open(one.uri), libvirt.open(other.uri)
        first.defineXML(xml)
        assert [domain.name() for domain in first.listAllDomains()] == ["mine"]
        assert second.listAllDomains() == []
        assert len(str(one.socket)) < 108
        first.close()
        second.close()


def test_definitions_survive_a_kill() -> None:
    with PrivateLibvirtd() as daemon:
        conn = libvirt.open(daemon.uri)
        conn.defineXML("<domain type='qemu'><name>mine</name><memory>65536</memory><os><type>hvm</type></os></domain>")
        daemon.kill()
        assert daemon.pid is None
        with pytest.raises(LibvirtdError):
            daemon.kill()
        daemon.restart()
        again = libvirt.open(daemon.uri)
        assert again.lookupByName("mine").isPersistent()
        again.close()
        daemon.stop()
        daemon.stop()


@pytest.mark.guest
@pytest.mark.parametrize("killed_before", [False, True])
def test_stop_leaves_no_process_and_no_file(guest_image: GuestImage, killed_before: bool) -> None:
    with PrivateLibvirtd() as daemon:
        conn = libvirt.open(daemon.uri)
        xml = domain_xml(
            DEMO_GUESTS["stubborn"], daemon.install(guest_image), uuid=guest_uuid("t", "s"), emulator_type="qemu"
        )
        conn.defineXML(xml).create()
        assert len(daemon.processes()) == 2
        if killed_before:
            daemon.kill()
            assert len(daemon.processes()) == 1
    assert daemon.processes() == []
    assert not daemon.directory.exists()
