"""The authority on what libvirt's errors mean to the portal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import libvirt

from vms.hypervisor.base import (
    AgentUnavailable,
    DomainNotFound,
    HostUnreachable,
    HypervisorError,
    NotSupported,
)

_UNSUPPORTED = (libvirt.VIR_ERR_NO_SUPPORT, libvirt.VIR_ERR_OPERATION_UNSUPPORTED, libvirt.VIR_ERR_ARGUMENT_UNSUPPORTED)
#: Where errors of the connection itself come from: "client socket is closed" is an internal error from RPC.
_CONNECTION = (libvirt.VIR_FROM_RPC, libvirt.VIR_FROM_REMOTE)


def translated(error: libvirt.libvirtError) -> HypervisorError:
    """Return the port's error for one of libvirt's."""
    code, text = error.get_error_code(), error.get_error_message() or str(error)
    if code in (libvirt.VIR_ERR_RPC, libvirt.VIR_ERR_NO_CONNECT, libvirt.VIR_ERR_INVALID_CONN):
        return HostUnreachable(text)
    if error.get_error_domain() in _CONNECTION and code not in _UNSUPPORTED:
        return HostUnreachable(text)
    if code == libvirt.VIR_ERR_NO_DOMAIN:
        return DomainNotFound(text)
    if code == libvirt.VIR_ERR_AGENT_UNRESPONSIVE:
        return AgentUnavailable(text)
    if code in _UNSUPPORTED:
        return NotSupported(text)
    return HypervisorError(text)


@contextmanager
def translating() -> Iterator[None]:
    """Raise the port's errors instead of libvirt's."""
    try:
        yield
    except libvirt.libvirtError as error:
        raise translated(error) from error
