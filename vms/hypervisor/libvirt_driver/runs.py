"""The authority on defining domains, on changing what is stored of one, and on runs that differ from it.

A run that differs is created from an edited copy of the definition, which libvirt keeps beside the stored one.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import PurePosixPath
from typing import Any

import libvirt
import structlog
from lxml import etree

from vms.domain.configuration import Configuration, Part
from vms.domain.run_options import RunOptions
from vms.hypervisor import definition, domain_xml, new_domain
from vms.hypervisor.base import ConfigurationRejected, HypervisorError

log = structlog.get_logger(__name__)

#: With passwords, which would be lost otherwise when the XML is given back.
_STORED = libvirt.VIR_DOMAIN_XML_INACTIVE | libvirt.VIR_DOMAIN_XML_SECURE
#: How the names of pools begin that are made for the moment.
_FOR_THE_MOMENT = "vm-portal-"
#: What libvirt says of a definition that it will never take.
_REJECTIONS = (
    libvirt.VIR_ERR_XML_ERROR,
    libvirt.VIR_ERR_XML_DETAIL,
    libvirt.VIR_ERR_XML_INVALID_SCHEMA,
    libvirt.VIR_ERR_CONFIG_UNSUPPORTED,
    libvirt.VIR_ERR_INVALID_ARG,
)


def define(connection: libvirt.virConnect, uuid: str, name: str, wanted: Configuration) -> None:
    """Define a new domain, unless there is one of this UUID: defining that anew would undo what was changed since.

    Raises:
        ConfigurationRejected: Another domain has the name, or it cannot be configured like that.
    """
    if is_there(connection.lookupByUUIDString, uuid):
        return
    if is_there(connection.lookupByName, name):
        raise ConfigurationRejected(f"a domain called {name} is there already")
    _store(connection, new_domain.xml(uuid, name, wanted, new_domain.platform_of(connection.getCapabilities())))


def is_there(look_up: Callable[[str], libvirt.virDomain], key: str) -> bool:
    """Say whether there is a domain of this UUID or name."""
    try:
        look_up(key)
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
            return False
        raise
    return True


def _store(connection: libvirt.virConnect, xml: str) -> None:
    try:
        connection.defineXML(xml)
    except libvirt.libvirtError as error:
        if error.get_error_code() in _REJECTIONS:
            raise ConfigurationRejected(error.get_error_message() or str(error)) from error
        raise


def configure(
    connection: libvirt.virConnect, domain: libvirt.virDomain, values: Mapping[Part, Any], revert: Collection[Part]
) -> None:
    """Change the stored definition; the description also of the run, where nothing has to be started anew for it."""
    running = domain.XMLDesc(libvirt.VIR_DOMAIN_XML_SECURE) if domain.isActive() else None
    stored = domain.XMLDesc(_STORED)
    _store(connection, definition.configured(stored, values, revert, running))
    if Part.DESCRIPTION in values and running is not None:
        with suppress(libvirt.libvirtError):  # it shows as waiting for the next run then
            domain.setMetadata(
                libvirt.VIR_DOMAIN_METADATA_DESCRIPTION,
                values[Part.DESCRIPTION] or None,
                None,
                None,
                libvirt.VIR_DOMAIN_AFFECT_LIVE,
            )


def create(connection: libvirt.virConnect, domain: libvirt.virDomain, options: RunOptions) -> None:
    """Start a domain that is down, with options.

    Raises:
        HypervisorError: It is not defined, has saved memory, or a disk that cannot be stateless.
    """
    if not domain.isPersistent():
        raise HypervisorError(f"{domain.name()} is not defined: it would be gone after such a run")
    if domain.hasManagedSaveImage():
        raise HypervisorError(
            f"{domain.name()} has saved memory, which would later be restored over changed disks. Run it to restore "
            "the memory, or power it off to discard it."
        )
    stored = domain.XMLDesc(_STORED)
    wanted = definition.for_run(stored, options)
    flags = libvirt.VIR_DOMAIN_START_PAUSED if options.paused else 0
    try:
        connection.createXML(wanted, flags)
    except libvirt.libvirtError:
        # An overlay that a crash of both libvirtd and QEMU has left is in the way of every later one.
        if domain.isActive() or not (options.stateless and _remove_leftovers(connection, definition.overlays(stored))):
            raise
        connection.createXML(wanted, flags)


def _remove_leftovers(connection: libvirt.virConnect, overlays: Collection[str]) -> bool:
    """Remove overlays of an earlier run, through the storage API; False when there are none, or none can be found."""
    removed = False
    for path in overlays:
        try:
            with pool_of(connection, str(PurePosixPath(path).parent)) as pool:
                pool.refresh()
                pool.storageVolLookupByName(PurePosixPath(path).name).delete()
        except libvirt.libvirtError as error:
            # What libvirt says of the start names the file that is in the way.
            log.info("no overlay to remove", path=path, said=str(error))
        else:
            log.warning("removed what a crash has left of a stateless run", path=path)
            removed = True
    return removed


@contextmanager
def pool_of(connection: libvirt.virConnect, directory: str) -> Iterator[libvirt.virStoragePool]:
    """Be given an active storage pool of a directory: the one there is, or one for the moment.

    One for the moment that a crash has left is taken for such a one, too, and goes.
    """
    pool = _pool_at(connection, directory)
    if pool is None:
        pool = connection.storagePoolCreateXML(_pool_xml(directory))
    else:
        if pool.isActive() and not pool.name().startswith(_FOR_THE_MOMENT):
            yield pool
            return
        if not pool.isActive():
            pool.create()
    try:
        yield pool
    finally:
        with suppress(libvirt.libvirtError):  # somebody else who used it has removed it
            pool.destroy()


def _pool_at(connection: libvirt.virConnect, directory: str) -> libvirt.virStoragePool | None:
    try:
        return connection.storagePoolLookupByTargetPath(directory)
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_STORAGE_POOL:
            return None
        if error.get_error_code() != libvirt.VIR_ERR_NO_SUPPORT:
            raise
    # The test driver has pools, but does not find them.
    for pool in connection.listAllStoragePools():
        if domain_xml.parse(pool.XMLDesc()).findtext("target/path") == directory:
            return pool
    return None


def _pool_xml(directory: str) -> str:
    pool = etree.Element("pool", type="dir")
    etree.SubElement(pool, "name").text = f"{_FOR_THE_MOMENT}{uuid.uuid4()}"
    etree.SubElement(etree.SubElement(pool, "target"), "path").text = directory
    return etree.tostring(pool, encoding="unicode")
