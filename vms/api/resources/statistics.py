"""What one VM uses, by its newest sample: under the names that oVirt gives such figures of VMs, NICs and disks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from vms import api_queries
from vms.api.declare import Group, Kind, Many, Reference, Resource, Scalar
from vms.api.resources.vm_part import VmParts, part_id
from vms.models import Sample, VirtualMachine


@dataclass(frozen=True, slots=True)
class Statistic:
    """One figure.

    Attributes:
        unit: In oVirt's words.
        datum: None where the host does not tell.
    """

    vm: VirtualMachine
    name: str
    description: str
    unit: str
    datum: float | None


STATISTIC: Resource[Statistic] = Resource(
    name="statistic",
    plural="statistics",
    path=lambda it: f"vms/{it.vm.pk}/statistics",
    id_of=lambda it: part_id(it.vm, "statistic", it.name),
    members=(
        Scalar("name", Kind.TEXT, lambda it: it.name),
        Scalar("description", Kind.TEXT, lambda it: it.description),
        Scalar("kind", Kind.TEXT, lambda it: "gauge"),
        Scalar("type", Kind.TEXT, lambda it: "decimal" if it.unit == "percent" else "integer"),
        Scalar("unit", Kind.TEXT, lambda it: it.unit, words=("bytes", "bytes_per_second", "percent")),
        Many(
            "values",
            Group("value", (Scalar("datum", Kind.NUMBER, lambda it: it),)),
            lambda it: [] if it.datum is None else [it.datum],
        ),
        Reference("vm", "vms", lambda it: it.vm.pk),
    ),
)


class VmStatistics(VmParts):
    """What one VM uses."""

    resource = STATISTIC

    def rows(self) -> Sequence[Statistic]:
        """Return what is known of it."""
        return [statistic for statistic in _figures(self.vm) if statistic.datum is not None]


def _figures(vm: VirtualMachine) -> Iterator[Statistic]:
    sample = api_queries.newest_sample(vm) or Sample()
    share = None if sample.cpu is None else sample.cpu * 100
    figures: tuple[tuple[str, str, str, float | None], ...] = (
        ("memory.installed", "Memory that it is configured with.", "bytes", vm.memory),
        ("memory.used", "Memory that it uses.", "bytes", sample.memory_used),
        ("cpu.current.total", "Part of the time of all its virtual CPUs.", "percent", share),
        ("data.current.read", "Read from all its disks.", "bytes_per_second", sample.disk_read),
        ("data.current.write", "Written to all its disks.", "bytes_per_second", sample.disk_written),
        ("data.current.rx.bps", "Received by all its interfaces.", "bytes_per_second", sample.net_received),
        ("data.current.tx.bps", "Sent by all its interfaces.", "bytes_per_second", sample.net_sent),
    )
    for name, description, unit, datum in figures:
        yield Statistic(vm, name, description, unit, None if datum is None else float(datum))
