"""The authority on how errors of the port travel over the fake host's wire: by the name of their class."""

from __future__ import annotations

from vms.hypervisor import base

_KINDS: dict[str, type[base.HypervisorError]] = {
    kind.__name__: kind
    for kind in (
        base.HypervisorError,
        base.ConfigurationRejected,
        base.HostUnreachable,
        base.DomainNotFound,
        base.AgentUnavailable,
        base.RunChanged,
        base.NotSupported,
    )
}


def pack(error: base.HypervisorError) -> dict[str, str]:
    """Return an error in its travelling form."""
    return {"kind": type(error).__name__, "text": str(error)}


def unpack(fields: dict[str, str]) -> base.HypervisorError:
    """Return the error that `pack` packed."""
    return _KINDS[fields["kind"]](fields["text"])
