"""The authority on removing domains and their disks through libvirt. What is said of libvirt was seen on libvirt 9.0.

A disk is only removed when nothing else on the host needs it: no domain, defined or running, has it, and no image that
the host's storage API finds beside any domain's disks, or beside this one, is based on it. What a directory holds is
found through its storage pool, or through one made for the moment.
"""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Self

import libvirt

from vms.hypervisor import domain_xml
from vms.hypervisor.base import HypervisorError
from vms.hypervisor.libvirt_driver.runs import is_there, pool_of

_ALL_BUT_THE_DISKS = (
    libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE
    | libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
    | libvirt.VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA
    | libvirt.VIR_DOMAIN_UNDEFINE_NVRAM
    # Since libvirt 8.9.
    | libvirt.VIR_DOMAIN_UNDEFINE_TPM
)
#: An older libvirt, or a driver without firmware, does not know all of these; the last ones every driver does.
_FLAGS = (
    _ALL_BUT_THE_DISKS,
    _ALL_BUT_THE_DISKS & ~libvirt.VIR_DOMAIN_UNDEFINE_TPM,
    libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE | libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA,
)
_DEVICES = "/dev/"
_NOT_THERE = (libvirt.VIR_ERR_NO_STORAGE_VOL, libvirt.VIR_ERR_NO_STORAGE_POOL)


def undefine(connection: libvirt.virConnect, domain: libvirt.virDomain) -> None:
    """Remove a domain's definition and everything that belongs to it but its disks.

    Raises:
        HypervisorError: It runs.
    """
    running = f"{domain.name()} is running, so it was not removed"
    if domain.isActive():
        raise HypervisorError(running)
    uuid, stored = domain.UUIDString(), domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE | libvirt.VIR_DOMAIN_XML_SECURE)
    for number, flags in enumerate(_FLAGS, 1):
        try:
            domain.undefineFlags(flags)
            break
        except libvirt.libvirtError as error:
            unknown = error.get_error_code() in (libvirt.VIR_ERR_INVALID_ARG, libvirt.VIR_ERR_ARGUMENT_UNSUPPORTED)
            if not unknown or number == len(_FLAGS):
                raise
    if is_there(connection.lookupByUUIDString, uuid):
        # Somebody started it between the two: libvirt has no way to undefine only what does not run.
        connection.defineXML(stored)
        raise HypervisorError(running)


def remove_disk(connection: libvirt.virConnect, uuid: str, source: str) -> None:
    """Remove a disk's data, unless something on the host needs it.

    Raises:
        HypervisorError: Something does, or the storage API does not reach it.
    """
    with _Storage(connection) as storage:
        path = storage.path_of(source)
        if path is None:
            return
        for name, identity, used in storage.used():
            if identity == uuid:
                raise HypervisorError(f"{name} is defined again, so {source} was kept")
            if path in used:
                raise HypervisorError(f"{source} is used by {name}. Detach it there, then delete it by hand")
        if based := storage.based_on(path):
            raise HypervisorError(f"{source} is the backing file of {based}. Delete or rebase that one first")
        storage.delete(path, source)


class _Storage:
    """What the storage API of a host shows, for the moment that it takes to remove one disk."""

    def __init__(self, connection: libvirt.virConnect) -> None:
        self._connection = connection
        self._pools = contextlib.ExitStack()
        #: What each image that was found is based on; "" for one that stands alone.
        self._images: dict[str, str] = {}
        self._listed: set[str] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pools.close()

    def path_of(self, source: str, *, gone: tuple[int, ...] = (libvirt.VIR_ERR_NO_STORAGE_VOL,)) -> str | None:
        """Return the path of what a disk names; None where there is nothing of that name any more.

        Args:
            gone: Errors that say so. A pool that is not defined may have left its data behind.
        """
        if source.startswith("/"):
            return str(PurePosixPath(source))
        pool, _, volume = source.partition("/")
        try:
            found = self._connection.storagePoolLookupByName(pool)
            with contextlib.suppress(libvirt.libvirtError):  # a job in the pool makes it busy, and it fresh
                found.refresh()
            return str(found.storageVolLookupByName(volume).path())
        except libvirt.libvirtError as error:
            if error.get_error_code() in gone:
                return None
            raise

    def used(self) -> Iterator[tuple[str, str, set[str]]]:
        """Yield each domain's name and UUID with the paths it uses: running, at its next start, and as backing."""
        for domain in self._connection.listAllDomains(0):
            try:
                texts = {domain.XMLDesc(0), domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)}
                name, identity = domain.name(), domain.UUIDString()
            except libvirt.libvirtError as error:
                if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
                    continue  # undefined since it was listed
                raise
            named = {source for text in texts for source in domain_xml.sources(domain_xml.parse(text))}
            paths = {path for source in named if (path := self.path_of(source, gone=_NOT_THERE)) is not None}
            self._look_beside(paths)
            yield name, identity, paths

    def based_on(self, path: str) -> str | None:
        """Return an image that is based on this one."""
        self._look_beside({path})
        return next((image for image, backing in self._images.items() if backing == path), None)

    def delete(self, path: str, source: str) -> None:
        """Delete the data at a path."""
        try:
            volume = self._connection.storageVolLookupByPath(path)
        except libvirt.libvirtError as error:
            if error.get_error_code() not in _NOT_THERE:
                raise
            if path.startswith(_DEVICES):
                raise HypervisorError(
                    f"{source} is a block device that belongs to no storage pool. Remove it by hand, with lvremove for "
                    "example"
                ) from None
            return
        try:
            volume.delete(0)
        except libvirt.libvirtError as error:
            if error.get_error_code() != libvirt.VIR_ERR_NO_STORAGE_VOL:
                raise

    def _look_beside(self, paths: set[str]) -> None:
        """Find out what the images beside these are based on, and where those lie in turn."""
        # A directory can be looked through; a block device is only found in its own pool.
        places = {path if path.startswith(_DEVICES) else str(PurePosixPath(path).parent) for path in paths}
        for place in places - self._listed:
            self._listed.add(place)
            found = self._images_at(place)
            self._images |= found
            self._look_beside({backing for backing in found.values() if backing})

    def _images_at(self, place: str) -> dict[str, str]:
        try:
            if place.startswith(_DEVICES):
                pool = self._connection.storageVolLookupByPath(place).storagePoolLookupByVolume()
            else:
                pool = self._pools.enter_context(pool_of(self._connection, place))
            with contextlib.suppress(libvirt.libvirtError):  # a job in the pool makes it busy
                pool.refresh()
            return dict(_backing(volume) for volume in pool.listAllVolumes())
        except libvirt.libvirtError as error:
            # A directory that is not there holds no image.
            if error.get_error_code() in _NOT_THERE or error.get_int1() == errno.ENOENT:
                return {}
            raise


def _backing(volume: libvirt.virStorageVol) -> tuple[str, str]:
    root = domain_xml.parse(volume.XMLDesc())
    return root.findtext("target/path", ""), root.findtext("backingStore/path", "")
