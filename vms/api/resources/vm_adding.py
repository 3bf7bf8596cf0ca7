"""What a client says of a VM that it adds. Source: REST contract, 3 and 5."""

from __future__ import annotations

from math import prod
from typing import Any

from rest_framework.request import Request

from vms import actions, queries
from vms.api.declare import Group, Kind, Many, Reference, Scalar, Tree, read
from vms.api.faults import Incomplete, Invalid, NotFound
from vms.api.resources.vm import BLANK_ID, BLANK_NAME, CLUSTER_ID, CLUSTER_NAME, DELAY, FORCE, VM
from vms.correlation import correlation_id
from vms.domain.configuration import BootDevice, Part
from vms.domain.policy import MAX_DELAY, Setting
from vms.models import Host, VirtualMachine

_DEVICE: Scalar[Any] = Scalar("device", Kind.TEXT, lambda it: None, words=tuple(BootDevice), written=True)
_HOST: Reference[Any] = Reference("host", "hosts", lambda it: None, written=True)
#: What only a VM that is added is told in this form.
_MEMBERS: tuple[Group[Any], ...] = (
    Group("os", (Group("boot", (Many("devices", _DEVICE, lambda it: (), written=True),)),)),
    Group("placement_policy", (Many("hosts", _HOST, lambda it: (), written=True),)),
)
_FLAGS = {"true": True, "false": False}
#: What the members of the portal's own element are called as parts of a policy.
_ELEMENT = {"force": "force", "graceful_delay": "delay"}


def add(request: Request) -> VirtualMachine:
    """Add the VM that a client has sent.

    Raises:
        Incomplete: It has no name.
        Invalid: Something of it is not what a VM can be.
        NotFound: There is no such cluster, template or host.
    """
    sent = VM.read(request.data) | read(_MEMBERS, request.data, VM.name)
    if not sent.get("name"):
        raise Incomplete("[Vm [name] required for add]")
    _require(sent.get("cluster"), "Cluster", CLUSTER_ID, CLUSTER_NAME)
    _require(sent.get("template"), "Template", BLANK_ID, BLANK_NAME)
    return actions.add_vm(
        request.user,
        sent["name"],
        _values(sent),
        hosts=_hosts(request, sent),
        setting=_setting(sent),
        stateless=sent.get("stateless", False),
        correlation_id=correlation_id(),
    )


def _require(wanted: Tree | None, kind: str, its_id: str, its_name: str) -> None:
    """Refuse a reference to anything but the one object there is. Without any, that is meant."""
    if wanted is None:
        return
    given, there = ("id", its_id) if "id" in wanted else ("name", its_name)
    if wanted[given] != there:
        raise NotFound(f"[Entity not found: {kind}: {given}={wanted[given]}]")


def _values(sent: Tree) -> dict[Part, Any]:
    values: dict[Part, Any] = {}
    if "description" in sent:
        values[Part.DESCRIPTION] = sent["description"]
    if "memory" in sent:
        values[Part.MEMORY] = sent["memory"]
    if topology := sent.get("cpu", {}).get("topology"):
        values[Part.VCPUS] = prod(topology.values())
    if devices := sent.get("os", {}).get("boot", {}).get("devices"):
        values[Part.BOOT] = tuple(devices)
    return values


def _hosts(request: Request, sent: Tree) -> list[Host] | None:
    """Return the hosts that it may be on; None where the client leaves that to the portal."""
    wanted = sent.get("placement_policy", {}).get("hosts")
    if not wanted:
        return None
    seen = list(queries.hosts(request.user))
    return [_host(seen, each) for each in wanted]


def _host(seen: list[Host], wanted: Tree) -> Host:
    given = "id" if "id" in wanted else "name"
    for host in seen:
        if wanted[given] == (str(host.pk) if given == "id" else host.name):
            return host
    raise NotFound(f"[Entity not found: Host: {given}={wanted[given]}]")


def _setting(sent: Tree) -> Setting:
    """Return its own policy: by the portal's element, or by custom properties, which every client can write."""
    found: dict[str, Any] = {}
    for each in sent.get("custom_properties", []):
        found |= _property(each.get("name", ""), each.get("value", ""))
    element = sent.get("power_down_policy", {})
    found |= {_ELEMENT[name]: value for name, value in element.items()}
    return Setting(**found)


def _property(name: str, value: str) -> dict[str, Any]:
    if name == FORCE and value in _FLAGS:
        return {"force": _FLAGS[value]}
    if name == DELAY and value.isascii() and value.isdigit() and len(value) <= len(str(MAX_DELAY)):
        return {"delay": int(value)}
    raise Invalid(f"There is no custom property {name} with the value {value}.")
