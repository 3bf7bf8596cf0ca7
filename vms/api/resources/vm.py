"""What a VM looks like. Source: REST contract, 4.3 and 7."""

from __future__ import annotations

from dataclasses import dataclass

from vms.api.declare import Group, Kind, Many, Reference, Resource, Scalar
from vms.api.ids import Row, id_of
from vms.domain.configuration import Configuration
from vms.domain.policy import MAX_DELAY, Policy, Setting, effective
from vms.domain.power import VmStatus
from vms.models import VirtualMachine
from vms.queries import VmRow

#: The one cluster, which all hosts are in, and the template that everything is made from: clients follow both.
CLUSTER_ID = "00000000-0000-0000-0000-000000000001"
BLANK_ID = "00000000-0000-0000-0000-000000000000"
FORCE, DELAY = "power_down_force", "power_down_delay"

#: The words that clients know. What has none here is not shown at all (`gone`), or is named below.
_WORDS: dict[VmStatus, str] = {VmStatus.GONE: "unassigned"}
STATUSES = tuple(_WORDS.get(status, status.value) for status in VmStatus)


@dataclass(frozen=True, slots=True)
class Shown:
    """A VM as it is shown.

    Attributes:
        defaults: The portal's policy.
        next_run: Show what its next cold start will use, and not what its run was started with.
    """

    row: VmRow
    defaults: Setting
    next_run: bool = False

    @property
    def vm(self) -> VirtualMachine:
        """What the portal knows of it."""
        return self.row.vm

    @property
    def configuration(self) -> Configuration:
        """What is shown of its configuration."""
        running = self.vm.running_configuration
        return self.row.upcoming if self.next_run or running is None else Configuration.of(running)

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


VM: Resource[Shown] = Resource(
    name="vm",
    plural="vms",
    path="vms",
    id_of=lambda it: it.vm.pk,
    actions=("start", "stop", "shutdown", "reboot", "reset", "powercycle", "suspend"),
    members=(
        Scalar("name", Kind.TEXT, lambda it: it.vm.name, written=True),
        Scalar("description", Kind.TEXT, lambda it: it.configuration.description, written=True),
        Scalar("comment", Kind.TEXT, lambda it: ""),
        Group(
            "power_down_policy",
            (
                Scalar("force", Kind.FLAG, lambda policy: policy.force, written=True),
                Scalar("graceful_delay", Kind.WHOLE, lambda policy: policy.delay, written=True, limits=(0, MAX_DELAY)),
            ),
            of=lambda it: it.policy,
            doc="What holds for this VM: power it off at the end of the delay, or give up; and the delay in seconds.",
        ),
        Group(
            "cpu",
            (
                Scalar("architecture", Kind.TEXT, lambda it: "x86_64"),
                Group(
                    "topology",
                    (
                        Scalar("cores", Kind.WHOLE, lambda it: 1, written=True, limits=(1, 4096)),
                        Scalar(
                            "sockets", Kind.WHOLE, lambda it: it.configuration.vcpus, written=True, limits=(1, 4096)
                        ),
                        Scalar("threads", Kind.WHOLE, lambda it: 1, written=True, limits=(1, 4096)),
                    ),
                ),
            ),
        ),
        Scalar("memory", Kind.WHOLE, lambda it: it.configuration.memory, "Bytes.", written=True),
        Scalar("status", Kind.TEXT, lambda it: _WORDS.get(VmStatus(it.vm.status), it.vm.status), words=STATUSES),
        Scalar("start_time", Kind.MOMENT, lambda it: it.vm.running_since),
        Scalar("stop_time", Kind.MOMENT, lambda it: it.vm.down_since),
        Reference("cluster", "clusters", lambda it: CLUSTER_ID, written=True),
        Reference("host", "hosts", lambda it: id_of(Row.HOST, it.vm.host_id) if it.vm.running_since else None),
        Reference("template", "templates", lambda it: BLANK_ID, written=True),
        Reference("original_template", "templates", lambda it: BLANK_ID),
        Scalar("next_run_configuration_exists", Kind.FLAG, lambda it: bool(it.row.changes)),
        Scalar("run_once", Kind.FLAG, lambda it: it.vm.run_once),
        Scalar("stateless", Kind.FLAG, lambda it: it.vm.stateless, written=True),
        Many(
            "custom_properties",
            Group(
                "custom_property",
                (
                    Scalar("name", Kind.TEXT, lambda it: it[0], written=True),
                    Scalar("value", Kind.TEXT, lambda it: it[1], written=True),
                ),
            ),
            lambda it: it.properties,
            "What is set on the VM itself, and nothing else.",
            written=True,
        ),
    ),
)
