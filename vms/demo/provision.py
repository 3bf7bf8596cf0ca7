"""The authority on putting the demo guests on a libvirt host and taking them away again, and nothing else with them.

Guests are only ever put on a host that has no domain at all, and only those are removed whose metadata says that this
portal instance made them.
"""

import contextlib
import os
import shutil
import stat
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import libvirt
from lxml import etree

from vms.demo.guests import (
    AGENT_CHANNEL,
    DEFAULT_PREFIX,
    DEMO_GUESTS,
    EmulatorType,
    domain_xml,
    guest_uuid,
    marker_instance,
)
from vms.demo.image import GuestImage, build_guest_image

_TRIAL_TIMEOUT = 10.0  # seconds; with working KVM the guest is ready in two
# The owner of what is found in the second is checked before it is used.
_SHARED_PLACES = (Path("/var/lib/libvirt/images"), Path("/var/tmp"))  # noqa: S108


class ProvisionError(RuntimeError):
    """The demo guests cannot be put on this host; the message says why."""


def define_demo_guests(
    conn: libvirt.virConnect, image: GuestImage, instance: str, *, prefix: str = DEFAULT_PREFIX
) -> list[str]:
    """Define and start the demo guests if the host has no domain yet; the names of those made, maybe none.

    All or none: on an error those already made are removed. Raises `ProvisionError`, `libvirt.libvirtError`.
    """
    if conn.listAllDomains():
        return []
    emulator_type = usable_emulator_type(conn, image, instance, prefix=prefix)
    names = []
    try:
        for guest in DEMO_GUESTS.values():
            xml = domain_xml(
                guest,
                image,
                uuid=guest_uuid(instance, guest.name),
                emulator_type=emulator_type,
                instance=instance,
                prefix=prefix,
            )
            domain = conn.defineXML(xml)
            domain.create()
            names.append(domain.name())
    except BaseException:
        remove_demo_guests(conn, instance)
        raise
    return names


def remove_demo_guests(conn: libvirt.virConnect, instance: str) -> list[str]:
    """Power off and undefine the domains that this instance made as demo guests; their names."""
    ours = [domain for domain in conn.listAllDomains() if _instance_of(domain) == instance]
    if not ours:
        return []
    # At the same time: on a host that is slow to collect dead processes each takes some seconds.
    with ThreadPoolExecutor(max_workers=len(ours)) as executor:
        names = executor.map(_remove, ours)
    return sorted(name for name in names if name is not None)


def _instance_of(domain: libvirt.virDomain) -> str | None:
    try:
        return marker_instance(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:  # removed by another hand
            return None
        raise


def _remove(domain: libvirt.virDomain) -> str | None:
    """Power off and undefine; the domain's name, or None if another hand removed it first."""
    try:
        name = domain.name()
        persistent = domain.isPersistent()
        if domain.isActive():
            try:
                domain.destroy()
            except libvirt.libvirtError as error:
                if error.get_error_code() != libvirt.VIR_ERR_OPERATION_INVALID:  # it went down by itself
                    raise
        if persistent:  # a transient one, the trial of a killed process, is gone with its power
            domain.undefineFlags(
                libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE
                | libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
                | libvirt.VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA
            )
    except libvirt.libvirtError as error:
        if error.get_error_code() != libvirt.VIR_ERR_NO_DOMAIN:
            raise
        return None
    return str(name)


def usable_emulator_type(
    conn: libvirt.virConnect, image: GuestImage, instance: str, *, prefix: str = DEFAULT_PREFIX
) -> EmulatorType:
    """`kvm` if a guest really runs with it on this host, else `qemu` (emulation, ten times slower but the same).

    That libvirt offers KVM and `/dev/kvm` can be opened proves little: under nested virtualisation both hold, a virtual
    CPU can even be made, and yet no kernel boots. So a guest is started and must come up. Asking the host through
    libvirt also gives the right answer where we may not open the device ourselves but the daemon may.
    """
    if not _offers(conn, "qemu"):
        raise ProvisionError(
            "The demo guests are x86-64 machines and this host has no QEMU for them: apt-get install qemu-system-x86"
        )
    if not _offers(conn, "kvm"):
        return "qemu"
    trial = replace(DEMO_GUESTS["obedient"], name="kvm-trial")
    xml = domain_xml(
        trial,
        image,
        uuid=guest_uuid(instance, trial.name),
        emulator_type="kvm",
        instance=instance,
        prefix=prefix,
        on_reboot="destroy",  # a guest that cannot run resets over and over
    )
    domain = None
    try:
        domain = conn.createXML(xml)
        deadline = time.monotonic() + _TRIAL_TIMEOUT
        while time.monotonic() < deadline:
            if agent_connected(domain):
                return "kvm"
            time.sleep(0.1)
    except libvirt.libvirtError:
        pass  # not started, or ended by itself: it does not run with KVM
    finally:
        if domain is not None:
            with contextlib.suppress(libvirt.libvirtError):
                domain.destroy()
    return "qemu"


def agent_connected(domain: libvirt.virDomain) -> bool:
    """Whether the guest agent is connected to its channel now; False when there is no channel."""
    target = etree.fromstring(domain.XMLDesc()).find(f"devices/channel/target[@name='{AGENT_CHANNEL}']")
    return target is not None and target.get("state") == "connected"


def provide_image(conn: libvirt.virConnect, uri: str, home: Path, instance: str) -> GuestImage:
    """The guests' image where the QEMU of this connection can read it: built in `home`, copied if that is private.

    Raises `ImageError`, `PackageError`, or `ProvisionError` when no place can be found.
    """
    image = build_guest_image(home / "demo-image")
    user = _qemu_user(conn, uri)
    if _can_enter(image.kernel.parent, *user):
        return image
    for place in _shared_directories(instance):
        # In a directory that all may write to, someone else's must not be taken for ours.
        if os.access(place.parent, os.W_OK) and _can_enter(place.parent, *user):
            place.mkdir(mode=0o755, exist_ok=True)
            if place.is_symlink() or place.stat().st_uid != os.geteuid():
                continue
            return image.copy_to(place / image.kernel.parent.name)
    raise ProvisionError(
        f"QEMU runs as user {user[0]}, which may not enter {home}, and no shared directory is writable here. "
        f"Keep PORTAL_HOME in a directory that others may enter (chmod o+x), or use qemu:///session."
    )


def remove_shared_image(instance: str) -> None:
    """Remove the copies that `provide_image` made outside of the home; the one in the home stays, as a cache."""
    for place in _shared_directories(instance):
        if place.is_dir() and not place.is_symlink() and place.stat().st_uid == os.geteuid():
            shutil.rmtree(place, ignore_errors=True)


def _shared_directories(instance: str) -> list[Path]:
    return [place / f"vm-portal-{instance}" for place in _SHARED_PLACES]


def _offers(conn: libvirt.virConnect, emulator_type: EmulatorType) -> bool:
    try:
        conn.getDomainCapabilities(None, "x86_64", None, emulator_type)
    except libvirt.libvirtError:
        return False
    return True


def _qemu_user(conn: libvirt.virConnect, uri: str) -> tuple[int, int]:
    """Numeric user and group that this connection's QEMU processes run as."""
    for model in etree.fromstring(conn.getCapabilities()).findall("host/secmodel"):
        label = model.findtext("baselabel")
        if model.findtext("model") == "dac" and label:  # a privileged daemon: "+64055:+108"
            user, group = label.split(":")
            return int(user), int(group)
    for socket in parse_qs(urlsplit(uri).query).get("socket", []):
        owner = Path(socket).stat()  # a session daemon, perhaps another user's: QEMU runs as its owner
        return owner.st_uid, owner.st_gid
    return os.geteuid(), os.getegid()


def _can_enter(directory: Path, user: int, group: int) -> bool:
    """Whether that user may pass through every directory down to this one."""
    directory = directory.resolve()
    return all(_may_pass(each.stat(), user, group) for each in (directory, *directory.parents))


def _may_pass(status: os.stat_result, user: int, group: int) -> bool:
    if user == 0:
        return True
    if status.st_uid == user:
        return bool(status.st_mode & stat.S_IXUSR)
    if status.st_gid == group:
        return bool(status.st_mode & stat.S_IXGRP)
    return bool(status.st_mode & stat.S_IXOTH)
