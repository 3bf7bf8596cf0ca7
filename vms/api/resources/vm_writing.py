"""What a client changes of a VM. Source: REST contract, 5.1 and 7.

What the portal has no setting for can be sent as it is shown, so that a VM that was read can be sent back. With another
value it is refused by its name: a client that was told 200 relies on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from vms.actions import SettingChange
from vms.api.declare import Kind, Scalar, Tree
from vms.api.faults import Invalid
from vms.api.leaves import strangers
from vms.api.resources.vm import BLANK_NAME, CLUSTER_NAME, DELAY, FORCE, VM, Shown
from vms.domain.configuration import Part
from vms.domain.policy import MAX_DELAY, Option

_ELSEWHERE = "It is changed on the VM's host."
_NO_SUCH_SETTING = "This portal has no such setting."
#: What stays as it is, and why.
_FIXED = {
    "name": "A VM is renamed on its host.",
    "template.id": "This portal has no other template.",
    "template.name": "This portal has no other template.",
    "cluster.id": "This portal has no other cluster.",
    "cluster.name": "This portal has no other cluster.",
    "cpu.architecture": _ELSEWHERE,
    "os.type": _NO_SUCH_SETTING,
    "os.kernel": _ELSEWHERE,
    "os.initrd": _ELSEWHERE,
    "os.cmdline": _ELSEWHERE,
    "type": _NO_SUCH_SETTING,
    "start_paused": _NO_SUCH_SETTING,
    "high_availability.enabled": _NO_SUCH_SETTING,
    "high_availability.priority": _NO_SUCH_SETTING,
}
#: The others have no word of oVirt's.
_OPTIONS = (Option.STATELESS, Option.DELETE_PROTECTED)
_PROPERTIES: dict[str, Scalar[None]] = {
    FORCE: Scalar(FORCE, Kind.TEXT, lambda _: None, words=("true", "false")),
    DELAY: Scalar(DELAY, Kind.WHOLE, lambda _: None, limits=(0, MAX_DELAY)),
}


@dataclass(frozen=True, slots=True)
class Edit:
    """What is to be changed, in the words of `actions.edit`."""

    setting: SettingChange
    options: dict[Option, bool]
    values: dict[Part, Any]
    comment: str | None


def edit_of(sent: Any, shown: Shown) -> Edit:
    """Read what a client has sent for a VM.

    Raises:
        Invalid: Something is not what it is declared to be, or cannot be changed.
    """
    read = VM.read(sent)
    _check_fixed(sent, shown)
    options = {option: read[option] for option in _OPTIONS if option in read}
    return Edit(setting_of(read), options, values_of(read), read.get("comment"))


def values_of(read: Tree) -> dict[Part, Any]:
    """Return the parts of the configuration that were sent."""
    values = {part: read[part] for part in (Part.DESCRIPTION, Part.MEMORY) if part in read}
    if (vcpus := vcpus_of(read.get("cpu", {}).get("topology", {}))) is not None:
        values[Part.VCPUS] = vcpus
    devices = read.get("os", {}).get("boot", {}).get("devices")
    return values if devices is None else {**values, Part.BOOT: tuple(devices)}


def vcpus_of(topology: Tree) -> int | None:
    """Return how many virtual CPUs a topology has; None where it does not say.

    What is missing counts as one, so that the same words mean the same VM however often they are sent.
    """
    cores, threads = topology.get("cores", 1), topology.get("threads", 1)
    if "sockets" not in topology and cores * threads == 1:
        return None
    return int(topology.get("sockets", 1) * cores * threads)


def setting_of(read: Tree) -> SettingChange:
    """Return what was sent of the power-down policy, in either of its spellings; where they differ, its element holds.

    Raises:
        Invalid: A custom property that there is not, or with a value that it cannot have.
    """
    change: SettingChange = {}
    if "custom_properties" in read:
        change = _from_properties(read["custom_properties"])
    element = read.get("power_down_policy", {})
    if "force" in element:
        change["force"] = element["force"]
    if "graceful_delay" in element:
        change["delay"] = element["graceful_delay"]
    return change


def _from_properties(sent: Sequence[Tree]) -> SettingChange:
    """Read the whole set: what is not in it follows the portal's default."""
    found: dict[str, Any] = {}
    for each in sent:
        name = each.get("name", "")
        if name not in _PROPERTIES:
            raise Invalid(f"There is no custom property “{name}”. A VM has {FORCE} and {DELAY}.")
        if name in found:
            raise Invalid(f"The custom property {name} is given twice.")
        found[name] = _PROPERTIES[name].read(each.get("value", ""), f"The custom property {name}")
    return {"force": found[FORCE] == "true" if FORCE in found else None, "delay": found.get(DELAY)}


def _check_fixed(sent: Any, shown: Shown) -> None:
    either = [VM.show(replace(shown, next_run=next_run)) for next_run in (False, True)]
    names = {"template": {"name": BLANK_NAME}, "cluster": {"name": CLUSTER_NAME}}
    for place, value in strangers(sent, [*either, names]):
        if place in _FIXED:
            raise Invalid(f"vm.{place} cannot become “{value}”. {_FIXED[place]}")
