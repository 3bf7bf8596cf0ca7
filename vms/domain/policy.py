"""The authority on the power-down policy.

A policy is two settings: `force` (power the VM off when its guest does not comply?) and `delay` (whole seconds to wait
first). A VM may leave either unset; then the portal's default holds. A request may override either, once.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from vms.domain.errors import PolicyError

MAX_DELAY = 3600
#: The power button is pressed again this often, in seconds: a booting guest loses the first presses.
PRESS_AGAIN_EVERY = 10


class Origin(StrEnum):
    """Where an effective setting comes from."""

    VM = "vm"
    DEFAULT = "default"
    REQUEST = "request"
    PENDING_CHANGES = "pending_changes"


@dataclass(frozen=True, slots=True)
class Setting:
    """A power-down policy as far as it is set: on a VM, or as a request's override.

    Attributes:
        force: Power off at the end of the delay; None when unset.
        delay: Seconds to wait for the guest, 0 to 3600; None when unset.
    """

    force: bool | None = None
    delay: int | None = None


@dataclass(frozen=True, slots=True)
class Policy:
    """The policy in force for one operation, each part with its origin. `delay` in seconds."""

    force: bool
    delay: int
    force_origin: Origin
    delay_origin: Origin


class Option(StrEnum):
    """What a VM's policy says besides: each is on or off, and has no default in the portal."""

    RESTART_INSIDE = "restart_inside"
    """Reboot asks the guest agent to restart the guest, where nothing needs a cold start."""
    APPLY_ON_GUEST_REBOOT = "apply_on_guest_reboot"
    """While changes wait, a restart from inside the guest becomes a cold start."""
    STATELESS = "stateless"
    """What a run writes to its disks is dropped when it ends."""
    DELETE_PROTECTED = "delete_protected"
    """The VM cannot be removed from its host."""


#: What the portal starts with; an Administrator can change it in the portal.
FACTORY_FORCE = False
FACTORY_DELAY = 60


def check_delay(value: object) -> None:
    """Refuse a delay outside 0 to 3600 seconds.

    Raises:
        PolicyError: `range`.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_DELAY:
        raise PolicyError("graceful_delay", "range")


def check_vm_setting(setting: Setting) -> None:
    """Refuse a VM's policy that could not be carried out.

    Raises:
        PolicyError: `range`, or `zero_needs_force`: no wait at all is only possible with the VM's own force.
    """
    if setting.delay is not None:
        check_delay(setting.delay)
        if setting.delay == 0 and setting.force is not True:
            raise PolicyError("graceful_delay", "zero_needs_force")


def effective(
    vm: Setting,
    default: Policy | Setting,
    override: Setting | None = None,
    *,
    must_apply_changes: bool = False,
) -> Policy:
    """Work out the policy of one operation.

    Args:
        vm: What the VM itself has set.
        default: The portal's default, both parts set.
        override: What the request sets for this once.
        must_apply_changes: The operation is a reboot and pending changes wait; it is forced then, unless the request
            says `force=False` in so many words.

    Raises:
        PolicyError: The result could not be carried out (a delay out of range, or no wait and no force).
    """
    override = override or Setting()
    if default.force is None or default.delay is None:
        raise ValueError("the portal's default policy must be complete")
    if override.force is not None:
        force, force_origin = override.force, Origin.REQUEST
    elif must_apply_changes:
        force, force_origin = True, Origin.PENDING_CHANGES
    elif vm.force is not None:
        force, force_origin = vm.force, Origin.VM
    else:
        force, force_origin = default.force, Origin.DEFAULT
    if override.delay is not None:
        check_delay(override.delay)
        delay, delay_origin = override.delay, Origin.REQUEST
    elif vm.delay is not None:
        delay, delay_origin = vm.delay, Origin.VM
    else:
        delay, delay_origin = default.delay, Origin.DEFAULT
    if delay == 0 and not force:
        raise PolicyError("force" if override.delay is None else "graceful_delay", "zero_needs_force")
    return Policy(force=force, delay=delay, force_origin=force_origin, delay_origin=delay_origin)
