"""What a VM looks like. Source: REST contract, 4.3 and 7."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from vms.api.declare import Group, Kind, Many, Reference, Resource, Scalar
from vms.api.ids import Row, id_of
from vms.domain.configuration import MOST_VCPUS, BootDevice, Configuration
from vms.domain.policy import MAX_DELAY, Policy, Setting, effective
from vms.domain.power import Action, VmStatus
from vms.models import VirtualMachine
from vms.queries import VmRow

#: The one cluster, which all hosts are in, and the template that everything is made from: clients follow both.
CLUSTER_ID = "00000000-0000-0000-0000-000000000001"
CLUSTER_NAME = "Default"
BLANK_ID = "00000000-0000-0000-0000-000000000000"
BLANK_NAME = "Blank"
FORCE, DELAY = "power_down_force", "power_down_delay"

#: The words that clients know. They know none for a VM that is gone from its host, so that they are shown none.
STATUSES = tuple(status.value for status in VmStatus if status is not VmStatus.GONE)
BOOT_DEVICES = tuple(device.value for device in BootDevice)
_TAKING_DOWN = (Action.SHUT_DOWN, Action.POWER_OFF)


@dataclass(frozen=True)
class Shown:
    """A VM as it is shown.

    Attributes:
        defaults: The portal's policy.
        next_run: Show what its next cold start will use, and not what its run was started with.
        with_reasons: The viewer may see why somebody had something done to it.
    """

    row: VmRow
    defaults: Setting
    next_run: bool = False
    with_reasons: bool = False

    @property
    def vm(self) -> VirtualMachine:
        """What the portal knows of it."""
        return self.row.vm

    # Most of what is shown asks for it.
    @cached_property
    def configuration(self) -> Configuration:
        """What is shown of its configuration."""
        return self.row.upcoming if self.next_run else self.row.current

    @property
    def boot_devices(self) -> list[str]:
        """What it starts from, in order, as far as clients have words for it."""
        return [device for device in self.configuration.boot if device in BOOT_DEVICES]

    @property
    def policy(self) -> Policy:
        """Its policy, with the portal's where it has none of its own."""
        return effective(self.vm.policy_setting, self.defaults)

    @property
    def properties(self) -> list[tuple[str, str]]:
        """What is set on the VM itself, in a form that clients can write without knowing this portal."""
        force, delay = self.vm.force_power_off, self.vm.graceful_delay
        found = [(FORCE, str(force).lower())] if force is not None else []
        return found + ([(DELAY, str(delay))] if delay is not None else [])

    @property
    def stop_reason(self) -> str | None:
        """Why somebody had it brought down, where that is how it went down and a reason was given."""
        last = self.row.newest
        if last is None or not self.with_reasons or self.vm.status != VmStatus.DOWN:
            return None
        return last.reason or None if last.action in _TAKING_DOWN and last.succeeded else None


TOPOLOGY: Group[Configuration] = Group(
    "topology",
    (
        Scalar("cores", Kind.WHOLE, lambda it: 1, written=True, limits=(1, MOST_VCPUS)),
        Scalar("sockets", Kind.WHOLE, lambda it: it.vcpus, written=True, limits=(1, MOST_VCPUS)),
        Scalar("threads", Kind.WHOLE, lambda it: 1, written=True, limits=(1, MOST_VCPUS)),
    ),
    doc="The portal counts virtual CPUs. It shows each as a socket, and takes any product.",
)
BOOT: Group[Shown] = Group(
    "boot",
    (
        Many(
            "devices",
            Scalar("device", Kind.TEXT, lambda device: device, words=BOOT_DEVICES, written=True),
            lambda it: it.boot_devices,
            written=True,
        ),
    ),
)
POLICY: Group[Shown] = Group(
    "power_down_policy",
    (
        Scalar("force", Kind.FLAG, lambda policy: policy.force, written=True),
        Scalar("graceful_delay", Kind.WHOLE, lambda policy: policy.delay, written=True, limits=(0, MAX_DELAY)),
    ),
    of=lambda it: it.policy,
    doc="What holds for this VM: power it off at the end of the delay, or give up; and the delay in seconds.",
)
PROPERTIES: Many[Shown] = Many(
    "custom_properties",
    Group(
        "custom_property",
        (
            Scalar("name", Kind.TEXT, lambda it: it[0], written=True),
            Scalar("value", Kind.TEXT, lambda it: it[1], written=True),
        ),
    ),
    lambda it: it.properties,
    "What of the policy is set on the VM itself, and nothing else.",
    written=True,
)

VM: Resource[Shown] = Resource(
    name="vm",
    plural="vms",
    path="vms",
    id_of=lambda it: it.vm.pk,
    actions=("start", "stop", "shutdown", "reboot", "reset", "powercycle", "suspend"),
    links=(
        "diskattachments",
        "nics",
        "numanodes",
        "permissions",
        "snapshots",
        "tags",
        "statistics",
        "reporteddevices",
        "graphicsconsoles",
        "cdroms",
        "sessions",
        "applications",
        "affinitylabels",
    ),
    members=(
        Scalar("name", Kind.TEXT, lambda it: it.vm.name, written=True),
        Scalar("description", Kind.TEXT, lambda it: it.configuration.description, written=True),
        Scalar("comment", Kind.TEXT, lambda it: it.vm.comment, written=True),
        POLICY,
        Group(
            "cpu",
            (
                Scalar("architecture", Kind.TEXT, lambda it: "x86_64"),
                TOPOLOGY,
            ),
            of=lambda it: it.configuration,
        ),
        Scalar("memory", Kind.WHOLE, lambda it: it.configuration.memory, "Bytes, in whole MiB.", written=True),
        Group(
            "memory_policy",
            (
                Scalar("guaranteed", Kind.WHOLE, lambda it: it.memory, "Bytes."),
                Scalar("max", Kind.WHOLE, lambda it: it.memory, "Bytes."),
            ),
            of=lambda it: it.configuration,
            doc="Follows the memory.",
        ),
        Scalar("status", Kind.TEXT, lambda it: it.vm.status, words=STATUSES),
        Scalar("stop_reason", Kind.TEXT, lambda it: it.stop_reason),
        Scalar("creation_time", Kind.MOMENT, lambda it: it.vm.first_seen_at, "When the portal learned of it."),
        Scalar("start_time", Kind.MOMENT, lambda it: it.vm.running_since),
        Scalar("stop_time", Kind.MOMENT, lambda it: it.vm.down_since),
        Reference("cluster", "clusters", lambda it: CLUSTER_ID, written=True),
        Reference(
            "host",
            "hosts",
            lambda it: id_of(Row.HOST, it.vm.host_id) if it.vm.running_since else None,
            "Only while it runs.",
        ),
        Reference("template", "templates", lambda it: BLANK_ID, written=True),
        Reference("original_template", "templates", lambda it: BLANK_ID),
        Group(
            "os",
            (
                BOOT,
                Scalar("type", Kind.TEXT, lambda it: "other_linux"),
                Scalar("kernel", Kind.TEXT, lambda it: it.configuration.kernel or None),
                Scalar("initrd", Kind.TEXT, lambda it: it.configuration.initrd or None),
                Scalar("cmdline", Kind.TEXT, lambda it: it.configuration.command_line or None),
            ),
        ),
        Scalar("type", Kind.TEXT, lambda it: "server"),
        Scalar("next_run_configuration_exists", Kind.FLAG, lambda it: bool(it.row.changes)),
        Scalar("run_once", Kind.FLAG, lambda it: it.vm.run_once),
        Scalar("stateless", Kind.FLAG, lambda it: it.vm.stateless, written=True),
        Scalar("delete_protected", Kind.FLAG, lambda it: it.vm.delete_protected, written=True),
        Scalar("start_paused", Kind.FLAG, lambda it: False),
        Group(
            "high_availability",
            (
                Scalar("enabled", Kind.FLAG, lambda it: False),
                Scalar("priority", Kind.WHOLE, lambda it: 1),
            ),
        ),
        PROPERTIES,
    ),
)
