"""The demo guests on a host: made where there is nothing, removed only where they are ours."""

import os
import pwd
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import libvirt
import pytest
from lxml import etree

from tests.support.libvirtd import PrivateLibvirtd
from vms.demo import provision
from vms.demo.guests import DEMO_GUESTS, domain_xml, guest_uuid, instance_id, marker_instance
from vms.demo.image import GuestImage
from vms.demo.provision import define_demo_guests, provide_image, remove_demo_guests

NAMES = ["demo-acpi", "demo-obedient", "demo-slow", "demo-stubborn"]
ANY_IMAGE = GuestImage(Path("/boot-image/vmlinuz"), Path("/boot-image/initrd.img"))


@pytest.fixture
def conn(libvirtd: PrivateLibvirtd) -> Iterator[libvirt.virConnect]:
    connection = libvirt.open(libvirtd.uri)
    yield connection
    for domain in connection.listAllDomains():
        if domain.isActive():
            domain.destroy()
        domain.undefine()
    connection.close()


def names(conn: libvirt.virConnect) -> list[str]:
    return sorted(domain.name() for domain in conn.listAllDomains())


@pytest.mark.guest
def test_up_and_down_from_the_command_line(
    libvirtd: PrivateLibvirtd, conn: libvirt.virConnect, guest_image: GuestImage, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    (home / "demo-image").mkdir(parents=True)
    guest_image.copy_to(home / "demo-image" / guest_image.kernel.parent.name)  # built before; home itself stays private
    home.chmod(0o700)

    def run(command: str) -> str:
        arguments = [sys.executable, "-m", "vms.demo", command, "--home", str(home), "--uri", libvirtd.uri]
        done = subprocess.run(arguments, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    try:
        said = run("up")
        assert all(name in said for name in NAMES)
        assert names(conn) == NAMES
        assert all(domain.isActive() for domain in conn.listAllDomains())
        assert "nothing was added" in run("up")
    finally:
        assert ", ".join(NAMES) in run("down")
    assert names(conn) == []
    assert not [place for place in provision._shared_directories(instance_id(home)) if place.exists()]
    assert "removed none" in run("down")


def test_unreachable_host_is_one_line_and_exit_status_1(tmp_path: Path) -> None:
    arguments = [sys.executable, "-m", "vms.demo", "up", "--home", str(tmp_path)]
    done = subprocess.run(
        [*arguments, "--uri", f"qemu:///session?socket={tmp_path}/none"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.startswith("demo guests: ")
    assert done.stderr.count("\n") == 1


def test_a_host_with_domains_is_left_alone(conn: libvirt.virConnect) -> None:
    conn.defineXML("<domain type='qemu'><name>mine</name><memory>65536</memory><os><type>hvm</type></os></domain>")
    assert define_demo_guests(conn, ANY_IMAGE, "one") == []
    assert names(conn) == ["mine"]


def test_only_the_guests_of_this_instance_are_removed(conn: libvirt.virConnect) -> None:
    conn.defineXML(
        "<domain type='qemu'><name>demo-slow-mine</name><memory>65536</memory><os><type>hvm</type></os></domain>"
    )
    for instance in ("one", "two"):
        for guest in DEMO_GUESTS.values():
            xml = domain_xml(
                guest,
                ANY_IMAGE,
                uuid=guest_uuid(instance, guest.name),
                emulator_type="qemu",
                instance=instance,
                prefix=f"{instance}-",
            )
            conn.defineXML(xml)
    assert remove_demo_guests(conn, "one") == ["one-acpi", "one-obedient", "one-slow", "one-stubborn"]
    assert names(conn) == ["demo-slow-mine", "two-acpi", "two-obedient", "two-slow", "two-stubborn"]


def test_nothing_is_left_when_a_guest_cannot_start(conn: libvirt.virConnect) -> None:
    with pytest.raises(libvirt.libvirtError):
        define_demo_guests(conn, ANY_IMAGE, "one")  # there is no such image
    assert names(conn) == []


def test_kvm_is_not_used_where_its_guest_does_not_run(
    conn: libvirt.virConnect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provision, "_offers", lambda _conn, _type: True)
    assert provision.usable_emulator_type(conn, ANY_IMAGE, "one") == "qemu"
    assert names(conn) == []


def test_private_home_falls_back_to_a_shared_directory(
    libvirtd: PrivateLibvirtd,
    conn: libvirt.virConnect,
    guest_image: GuestImage,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    stranger = pwd.getpwnam("nobody")
    monkeypatch.setattr(provision, "build_guest_image", lambda _target: guest_image)
    monkeypatch.setattr(provision, "_SHARED_PLACES", (shared,))
    monkeypatch.setattr(provision, "_qemu_user", lambda _conn, _uri: (stranger.pw_uid, stranger.pw_gid))
    entered: list[Path] = []

    def can_enter(directory: Path, _user: int, _group: int) -> bool:
        entered.append(directory)
        return directory == shared

    monkeypatch.setattr(provision, "_can_enter", can_enter)
    provided = provide_image(conn, libvirtd.uri, tmp_path, "one")
    assert entered == [guest_image.kernel.parent, shared]
    assert provided.kernel.is_relative_to(shared / "vm-portal-one")
    assert provided.initrd.read_bytes() == guest_image.initrd.read_bytes()
    provision.remove_shared_image("one")
    assert list(shared.iterdir()) == []


def test_reachability_is_judged_by_every_directory_on_the_way(tmp_path: Path) -> None:
    place = tmp_path / "a/b"
    place.mkdir(parents=True)
    stranger = pwd.getpwnam("nobody")
    assert provision._can_enter(Path("/usr/lib"), stranger.pw_uid, stranger.pw_gid)
    (tmp_path / "a").chmod(0o700)
    assert not provision._can_enter(place, stranger.pw_uid, stranger.pw_gid)
    assert provision._can_enter(place, 0, 0)
    assert provision._can_enter(Path("/usr/lib"), os.geteuid(), os.getegid())


def test_definition_is_the_same_for_the_same_instance_and_carries_its_mark(tmp_path: Path) -> None:
    instance = instance_id(tmp_path)
    assert instance == instance_id(tmp_path / "x/..")
    assert instance != instance_id(tmp_path / "x")
    identity = guest_uuid(instance, "slow")
    assert identity == guest_uuid(instance, "slow") != guest_uuid(instance, "acpi")
    xml = domain_xml(DEMO_GUESTS["slow"], ANY_IMAGE, uuid=identity, emulator_type="kvm", instance=instance)
    assert marker_instance(xml) == instance
    domain = etree.fromstring(xml)
    assert domain.get("type") == "kvm"
    assert domain.findtext("uuid") == str(identity)
    assert domain.findtext("on_reboot") == "restart"
    assert not domain.xpath("devices/interface | devices/disk")
    assert "portal.slow=20" in domain.findtext("os/cmdline", "")
    assert marker_instance("<domain/>") is None
