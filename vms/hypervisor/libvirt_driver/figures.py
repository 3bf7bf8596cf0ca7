"""The authority on reading from libvirt what domains use.

One call for the whole host. Memory and disks are told by each QEMU itself: a QEMU that hangs would keep the call for
ever, so it is made over the line for such calls. NOWAIT skips a domain that another call waits for: also the one that
an earlier call of this kind still waits for.
"""

from __future__ import annotations

from typing import Any

import libvirt

from vms.domain.usage import Usage

_GROUPS = (
    libvirt.VIR_DOMAIN_STATS_STATE
    | libvirt.VIR_DOMAIN_STATS_CPU_TOTAL
    | libvirt.VIR_DOMAIN_STATS_BALLOON
    | libvirt.VIR_DOMAIN_STATS_VCPU
    | libvirt.VIR_DOMAIN_STATS_INTERFACE
    | libvirt.VIR_DOMAIN_STATS_BLOCK
)
_HOW = libvirt.VIR_CONNECT_GET_ALL_DOMAINS_STATS_ACTIVE | libvirt.VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT
_NANOSECONDS = 1e9
_KIB = 1024


def of_all(connection: libvirt.virConnect) -> dict[str, Usage]:
    """Return what each running domain has used so far, by UUID."""
    return {domain.UUIDString(): read(record) for domain, record in connection.getAllDomainStats(_GROUPS, _HOW)}


def read(record: dict[str, Any]) -> Usage:
    """Read one domain's record."""
    cpu = record.get("cpu.time")
    memory = record.get("balloon.current")
    return Usage(
        cpu=None if cpu is None else cpu / _NANOSECONDS,
        vcpus=record.get("vcpu.current"),
        memory_used=_memory_used(record),
        memory=None if memory is None else memory * _KIB,
        disk_read=_sum(record, "block", "rd.bytes"),
        disk_written=_sum(record, "block", "wr.bytes"),
        net_received=_sum(record, "net", "rx.bytes"),
        net_sent=_sum(record, "net", "tx.bytes"),
    )


def _memory_used(record: dict[str, Any]) -> int | None:
    """Return what the guest itself says that it uses, or else what its process takes of the host."""
    available = record.get("balloon.available")
    free = record.get("balloon.usable", record.get("balloon.unused"))
    if available is not None and free is not None:
        return max(0, int(available) - int(free)) * _KIB
    resident = record.get("balloon.rss")
    return None if resident is None else int(resident) * _KIB


def _sum(record: dict[str, Any], group: str, name: str) -> int | None:
    """Return the sum over all disks or interfaces; None where none is told of."""
    count = record.get(f"{group}.count", 0)
    told = [record[key] for number in range(count) if (key := f"{group}.{number}.{name}") in record]
    return sum(told) if told else None
