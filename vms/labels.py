"""Words and sentences for people: the one place where the domain's stable codes become translatable text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _

from vms.domain.configuration import BootDevice, Part
from vms.domain.disks import Kept
from vms.domain.observation import Proof
from vms.domain.operation import Failure, Outcome, Stage, StepKind
from vms.domain.plan import Consequence, PlanKind
from vms.domain.policy import Option, Origin
from vms.domain.power import Action, VmStatus
from vms.domain.preferences import Hint, Theme
from vms.domain.run_options import RunOptions
from vms.domain.screen import NoScreen

STATUS: dict[VmStatus, Promise] = {
    VmStatus.DOWN: _("Down"),
    VmStatus.WAIT_FOR_LAUNCH: _("Waiting for launch"),
    VmStatus.POWERING_UP: _("Powering up"),
    VmStatus.UP: _("Up"),
    VmStatus.REBOOT_IN_PROGRESS: _("Rebooting"),
    VmStatus.POWERING_DOWN: _("Powering down"),
    VmStatus.PAUSED: _("Paused"),
    VmStatus.SUSPENDED: _("Suspended"),
    VmStatus.SAVING_STATE: _("Saving state"),
    VmStatus.RESTORING_STATE: _("Restoring state"),
    VmStatus.IMAGE_LOCKED: _("Removing"),
    VmStatus.MIGRATING: _("Migrating"),
    VmStatus.NOT_RESPONDING: _("Not responding"),
    VmStatus.UNKNOWN: _("Unknown"),
    VmStatus.GONE: _("Gone"),
}
#: In place of what `image_locked` says otherwise, of a VM that its host has not defined yet.
ADDING: Promise = _("Adding")

THEME: dict[Theme, Promise] = {
    Theme.SYSTEM: _("As the system says"),
    Theme.LIGHT: _("Light"),
    Theme.DARK: _("Dark"),
}

#: What each kind of page is for, and the one thing to try on it.
HINT: dict[Hint, Promise] = {
    Hint.LIST: _(
        "All virtual machines, as they are now. Try: right-click a row, or press Shift+F10 on it, for everything that "
        "can be done to it. The ? key lists more keys."
    ),
    Hint.VM: _(
        "Everything about one virtual machine. Try: Operations, to see what each reboot did, step by step, and how "
        "long this guest took."
    ),
    Hint.OPERATIONS: _(
        "Every power action that somebody asked for, and how it ended. Try: open one that was forced, to see what was "
        "on the guest's screen just before."
    ),
    Hint.HOSTS: _(
        "The libvirt hosts that the portal manages. Try: Add host; the connection is tested first, and what fails is "
        "explained."
    ),
    Hint.EVENTS: _(
        "What happened, newest first, whoever caused it. Try: follow a correlation id, to see all that belongs to one "
        "request; or save what the filter finds as CSV."
    ),
    Hint.ACCOUNT: _(
        "Your own settings; nobody else's change. Try: tick Failed in the first row, to be mailed whenever an "
        "operation did not do what was asked."
    ),
}

ACTION: dict[Action, Promise] = {
    Action.RUN: _("Run"),
    Action.RUN_ONCE: _("Run once"),
    Action.SHUT_DOWN: _("Shut down"),
    Action.POWER_OFF: _("Power off"),
    Action.REBOOT: _("Reboot"),
    Action.POWER_CYCLE: _("Power cycle"),
    Action.SUSPEND: _("Suspend"),
    Action.RESUME: _("Resume"),
    Action.REMOVE: _("Remove"),
}

#: The same within a sentence: "Cannot reboot …", "a reboot asked for by …".
ACTION_WITHIN: dict[Action, Promise] = {
    Action.RUN: pgettext_lazy("within a sentence", "run"),
    Action.RUN_ONCE: pgettext_lazy("within a sentence", "run once"),
    Action.SHUT_DOWN: pgettext_lazy("within a sentence", "shut down"),
    Action.POWER_OFF: pgettext_lazy("within a sentence", "power off"),
    Action.REBOOT: pgettext_lazy("within a sentence", "reboot"),
    Action.POWER_CYCLE: pgettext_lazy("within a sentence", "power cycle"),
    Action.SUSPEND: pgettext_lazy("within a sentence", "suspend"),
    Action.RESUME: pgettext_lazy("within a sentence", "resume"),
    Action.REMOVE: pgettext_lazy("within a sentence", "remove"),
}

#: What a permission allows, by its code; those that are not on virtual machines are Django's four on a kind of thing.
PERMISSION: dict[str, Promise] = {
    "view_vm": _("Can see virtual machines"),
    "add_vm": _("Can add virtual machines"),
    "change_vm": _("Can edit virtual machines"),
    "run_vm": _("Can run and resume virtual machines"),
    "shut_down_vm": _("Can shut down virtual machines"),
    "power_off_vm": _("Can power off virtual machines"),
    "reboot_vm": _("Can reboot virtual machines"),
    "power_cycle_vm": _("Can power cycle virtual machines"),
    "suspend_vm": _("Can suspend virtual machines"),
    "remove_vm": _("Can remove virtual machines"),
    "console_vm": _("Can use the console of virtual machines"),
}
_ON_KIND: dict[str, Promise] = {
    "view": _("Can view: %(kind)s"),
    "add": _("Can add: %(kind)s"),
    "change": _("Can change: %(kind)s"),
    "delete": _("Can delete: %(kind)s"),
}

STAGE: dict[Stage, Promise] = {
    Stage.QUEUED: _("Queued"),
    Stage.ACCEPTED: _("Accepted"),
    Stage.WAITING: _("Waiting for the guest"),
    Stage.DESTROYING: _("Powering off"),
    Stage.STARTING: _("Starting"),
    Stage.COMING_UP: _("Coming up"),
    Stage.SAVING: _("Saving memory"),
    Stage.RESUMING: _("Resuming"),
    Stage.UNDEFINING: _("Removing"),
    Stage.REMOVING_DISKS: _("Removing disks"),
    Stage.ENDED: _("Ended"),
}

OUTCOME: dict[Outcome, Promise] = {
    Outcome.CLEAN_AGENT: _("Clean, by the guest agent"),
    Outcome.CLEAN_ACPI: _("Clean, by the power button"),
    Outcome.FORCED: _("Forced"),
    Outcome.GAVE_UP: _("Gave up"),
    Outcome.GUEST_REBOOTED: _("Restarted inside the guest"),
    Outcome.DONE: _("Done"),
    Outcome.OTHER_HAND: _("Done by another hand"),
    Outcome.SUPERSEDED: _("Superseded"),
    Outcome.CANCELLED: _("Cancelled"),
    Outcome.FAILED: _("Failed"),
}

FAILURE: dict[Failure, Promise] = {
    Failure.NONE: _("No failure"),
    Failure.GONE: _("The VM is no longer defined on its host."),
    Failure.NO_WAY_TO_ASK: _(
        "The guest cannot be asked: no guest agent is connected and it has no power button (ACPI). Install the guest "
        "agent, or use Power off."
    ),
    Failure.PREPARE_FAILED: _("The host would not let the run be marked, so it was left alone."),
    Failure.DESTROY_FAILED: _("The host failed to power the VM off; it is still running."),
    Failure.START_FAILED: _("The VM is down and the host failed to start it."),
    Failure.SAVE_FAILED: _("The host failed to save the VM's memory."),
    Failure.NOT_SAVED: _(
        "The VM still runs, or runs again: the host had begun to suspend it and did not succeed, or somebody has "
        "restored it since."
    ),
    Failure.RESUME_FAILED: _("The host failed to resume the VM."),
    Failure.DISCARD_FAILED: _("The host failed to discard the saved memory."),
    Failure.WENT_DOWN_AGAIN: _("The VM went down again before it was up."),
    Failure.CRASHED: _("The guest crashed as it came up, and stands still. Look at its screen, then use Power cycle."),
    Failure.SAVED_ELSEWHERE: _("Somebody suspended the VM meanwhile. Run restores its memory; Power off discards it."),
    Failure.STARTED_ELSEWHERE: _("The VM went down, and somebody started it again outside the portal; it is running."),
    Failure.NOT_DOWN: _("Somebody started the VM meanwhile, so it was not removed."),
    Failure.UNDEFINE_FAILED: _("The host failed to remove the VM's definition. Its disks were not touched."),
    Failure.DEFINED_AGAIN: _(
        "The VM was removed, and somebody defined it again before all of its disks were removed. What is left was kept."
    ),
    Failure.DISKS_LEFT: _("The VM was removed, but not all of the chosen disks. Those that are left are named here."),
    Failure.HOST_UNREACHABLE: _("The host could not be reached before the operation's deadline."),
    Failure.DEADLINE: _("The operation was not finished before its deadline."),
    Failure.CHANGED_IN_QUEUE: _(
        "While this queued, the VM came into a status that does not allow it, so nothing was done to it. Look at its "
        "status, and ask again if it is still wanted."
    ),
}

#: What a person can do about an end that somebody may be mailed about.
ADVICE: dict[Outcome, Promise] = {
    Outcome.FAILED: _(
        "What you can do: look at the operation's steps, mend what the reason names, and ask for the action again."
    ),
    Outcome.GAVE_UP: _(
        "What you can do: look at the guest's screen, shut it down from inside, give it a longer graceful delay, or "
        "use Power off or Power cycle. What the guest has not saved is lost by these two."
    ),
    Outcome.FORCED: _(
        "What you can do: check what the guest had not saved. If it only needed more time, give it a longer graceful "
        "delay."
    ),
}

STEP: dict[StepKind, Promise] = {
    StepKind.PREPARE: _("Marked the run"),
    StepKind.ASK_AGENT: _("Asked the guest agent"),
    StepKind.ASK_RESTART: _("Asked the guest agent to restart the guest"),
    StepKind.PRESS_BUTTON: _("Pressed the power button"),
    StepKind.DESTROY: _("Powered off"),
    StepKind.START: _("Started the VM"),
    StepKind.SAVE: _("Saved memory"),
    StepKind.RESUME: _("Resumed"),
    StepKind.DISCARD_MEMORY: _("Discarded saved memory"),
    StepKind.RELENT: _("Let the guest restart again"),
    StepKind.SCREENSHOT: _("Took a picture of the screen"),
    StepKind.UNDEFINE: _("Removed the definition"),
    StepKind.REMOVE_DISK: _("Removed a disk"),
    StepKind.WENT_DOWN: _("Went down"),
    StepKind.STARTED: _("Runs"),
    StepKind.GUEST_RESET: _("The guest restarted itself"),
    StepKind.RESET_INSTEAD: _("The guest restarted instead, which ended its run"),
    StepKind.AGENT_LEFT: _("The guest agent left"),
    StepKind.FALL_BACK: _("A restart inside the guest cannot be asked for; it is brought down and run again"),
    StepKind.FORCE_NOW: _("Force now"),
    StepKind.EXTEND: _("Extended"),
    StepKind.CANCEL: _("Cancel"),
}

PROOF: dict[Proof, Promise] = {
    Proof.AGENT: _("Its guest agent is connected"),
    Proof.RUNNING: _("It runs; no guest agent tells of its guest"),
    Proof.AGENT_LATE: _("It runs; its guest agent did not connect within 60 s"),
    Proof.ASLEEP: _("Its guest has put itself to sleep"),
    Proof.PAUSED: _("Somebody has paused it since"),
}

#: The same in a word or two, for a row.
PROOF_SHORT: dict[Proof, Promise] = {
    Proof.AGENT: _("agent connected"),
    Proof.RUNNING: _("running"),
    Proof.AGENT_LATE: _("running, no agent"),
    Proof.ASLEEP: _("asleep"),
    Proof.PAUSED: _("paused"),
}

PLAN: dict[PlanKind, Promise] = {
    PlanKind.ASK_AGENT: _("Ask the guest agent to shut the guest down"),
    PlanKind.ASK_RESTART: _("Ask the guest agent to restart the guest; the VM itself runs on"),
    PlanKind.PRESS_BUTTON: _("Press the power button (ACPI), again every 10 s"),
    PlanKind.POWER_OFF: _("Power the VM off; what the guest has not saved is lost"),
    PlanKind.GIVE_UP: _("Give up: the VM stays Up, and an event says so"),
    PlanKind.DISCARD_MEMORY: _("Discard the saved memory; what the guest had not saved is lost"),
    PlanKind.START: _("Start the VM"),
    PlanKind.RESTORE: _("Start the VM with its saved memory"),
    PlanKind.RESUME: _("Let the VM run on"),
    PlanKind.SAVE: _("Save the VM's memory to its host and stop it"),
    PlanKind.UNDEFINE: _("Remove the VM from its host, with its firmware variables, saved memory and snapshot records"),
    PlanKind.KEEP_DISKS: _("Its disks are kept"),
    PlanKind.REMOVE_DISKS: _("Remove the chosen disks; what is on them is lost"),
    PlanKind.FORGET: _("Take it off the portal's list; it is gone from its host already, and its history is kept"),
    PlanKind.REFUSED: _("The guest cannot be asked: no guest agent is connected and it has no power button (ACPI)"),
}

#: The same in a word or two, for a plan on one line.
PLAN_SHORT: dict[PlanKind, Promise] = {
    PlanKind.ASK_AGENT: _("ask the guest agent"),
    PlanKind.ASK_RESTART: _("ask the guest agent to restart"),
    PlanKind.PRESS_BUTTON: _("press the power button"),
    PlanKind.POWER_OFF: _("power off"),
    PlanKind.GIVE_UP: _("give up"),
    PlanKind.DISCARD_MEMORY: _("discard the saved memory"),
    PlanKind.START: _("start"),
    PlanKind.RESTORE: _("restore its memory"),
    PlanKind.RESUME: _("run on"),
    PlanKind.SAVE: _("save its memory"),
    PlanKind.UNDEFINE: _("remove"),
    PlanKind.KEEP_DISKS: _("keep its disks"),
    PlanKind.REMOVE_DISKS: _("remove the chosen disks"),
    PlanKind.FORGET: _("take it off the list"),
    PlanKind.REFUSED: _("no way to ask"),
}

CONSEQUENCE: dict[Consequence, Promise] = {
    Consequence.APPLIES_CHANGES: _("The changes that wait are applied."),
    Consequence.MAY_KEEP_CHANGES_WAITING: _(
        "Changes wait to be applied. This request says not to power off: if it gives up, they go on waiting."
    ),
    Consequence.ENDS_RUN_ONCE: _("This run was started with other than the stored configuration; that ends with it."),
    Consequence.LOSES_DISK_WRITES: _("The run is stateless: everything it has written to its disks is lost."),
    Consequence.RUNS_STATELESS: _("The run to come is stateless: what it writes to its disks is dropped when it ends."),
    Consequence.DIFFERS_ONCE: _("For this run only; the stored configuration is not touched."),
}

OPTION: dict[Option, Promise] = {
    Option.RESTART_INSIDE: _("Restart inside the guest"),
    Option.APPLY_ON_GUEST_REBOOT: _("Apply changes when the guest restarts itself"),
    Option.STATELESS: _("Stateless"),
    Option.DELETE_PROTECTED: _("Delete protection"),
}

#: What each option does.
OPTION_EFFECT: dict[Option, Promise] = {
    Option.RESTART_INSIDE: _(
        "Reboot asks the guest agent to restart the guest, and the VM itself runs on. Where no agent is connected, or "
        "a cold start is needed, the guest is shut down and the VM run again, as without this."
    ),
    Option.APPLY_ON_GUEST_REBOOT: _(
        "While changes wait, a restart from inside the guest becomes a cold start that applies them. A guest that "
        "shuts itself down meanwhile is run again too: the host does not tell the two apart."
    ),
    Option.STATELESS: _(
        "From the next start on, what a run writes to its disks is dropped when it ends, also by a reboot."
    ),
    Option.DELETE_PROTECTED: _("The VM cannot be removed until this is taken off."),
}

PART: dict[Part, Promise] = {
    Part.DESCRIPTION: _("Description"),
    Part.MEMORY: _("Memory"),
    Part.VCPUS: _("Virtual CPUs"),
    Part.BOOT: _("Boot order"),
    Part.CD_IMAGE: _("CD image"),
    Part.KERNEL: _("Kernel"),
    Part.INITRD: _("Initial RAM disk"),
    Part.COMMAND_LINE: _("Kernel command line"),
    Part.DISKS: _("Disks"),
    Part.INTERFACES: _("Network interfaces"),
}

BOOT_DEVICE: dict[str, Promise] = {
    BootDevice.DISK: _("Hard disk"),
    BootDevice.CD: _("CD"),
    BootDevice.NETWORK: _("Network"),
}

CONFIGURATION_ERROR: dict[str, Promise] = {
    "memory_range": _("Enter whole MiB, from 1 MiB to 16 TiB."),
    "memory_text": _("Enter memory such as 2 GiB or 1536 MiB; a number alone counts MiB."),
    "vcpus_range": _("Enter a whole number from 1 to 4096."),
    "boot": _("Choose at least one device, each once."),
    "path": _("Enter the absolute path of a file on the host, or nothing."),
    "text": _("Enter text without control characters, at most 4000 characters."),
    "name_characters": _("Enter a name of letters, digits, dots, hyphens and underscores, at most 255."),
    "no_drive": _("The VM has no CD drive. Add one to its definition on the host first."),
    "not_edited_here": _("This part is edited on the host."),
    "needs_kernel": _("An initial RAM disk or a command line needs a kernel."),
}


def exact_memory(size: int) -> str:
    """Return bytes in GiB where that is a whole number, else in MiB, with every digit that counts."""
    if size and size % (1 << 30) == 0:
        return f"{size >> 30} GiB"
    return f"{(Decimal(size) / (1 << 20)).normalize():f} MiB"


def permission(code: str, kind: str) -> str:
    """Say what a permission allows.

    Args:
        kind: What it is about, as people call it.
    """
    if code in PERMISSION:
        return str(PERMISSION[code])
    return str(_ON_KIND[code.partition("_")[0]]) % {"kind": kind}


def memory(size: int) -> str:
    """Write bytes in the largest binary unit that leaves a short number."""
    value = float(size)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024:
            return f"{value:.0f} {unit}" if value == int(value) or value >= 10 else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TiB"


def part_value(part: Part, value: Any) -> str:
    """Return one part of a configuration in words."""
    if part is Part.MEMORY:
        return exact_memory(value)
    if part is Part.BOOT:
        return ", ".join(str(BOOT_DEVICE.get(device, device)) for device in value) or gettext("not set")
    if part is Part.CD_IMAGE:
        return gettext("no drive") if value is None else value or gettext("empty")
    if isinstance(value, list | tuple):
        return "; ".join(value) or gettext("none")
    return str(value) if value != "" else gettext("empty")


def run_options(options: RunOptions) -> list[str]:
    """Return in words what a run does differently."""
    said = [
        f"{PART[part]}: {part_value(part, value)}"
        for part in (Part.CD_IMAGE, Part.MEMORY, Part.VCPUS)
        if (value := getattr(options, part)) is not None
    ]
    said += [
        f"{PART[part]}: {value}"
        for part in (Part.KERNEL, Part.INITRD, Part.COMMAND_LINE)
        if (value := getattr(options, part))
    ]
    if options.boot is not None:
        said.insert(0, gettext("Boots from: %(device)s") % {"device": BOOT_DEVICE[options.boot]})
    if options.paused:
        said.append(gettext("Starts paused"))
    if options.stateless:
        said.append(str(OPTION[Option.STATELESS]))
    return said


def changed_parts(values: Mapping[str, Any], reverts: Iterable[str]) -> str:
    """Return in words what a change of a configuration is about."""
    changes = [f"{PART[Part(name)]}: {part_value(Part(name), value)}" for name, value in values.items()]
    taken_back = [gettext("%(part)s taken back") % {"part": PART[Part(name)]} for name in reverts]
    return ", ".join([*changes, *taken_back])


ORIGIN: dict[Origin, Promise] = {
    Origin.VM: _("this VM"),
    Origin.DEFAULT: _("portal default"),
    Origin.REQUEST: _("this request"),
    Origin.PENDING_CHANGES: _("pending changes must be applied"),
}

NO_SCREEN: dict[NoScreen, Promise] = {
    NoScreen.DOWN: _("The virtual machine is down: it has no screen."),
    NoScreen.HOST_AWAY: _("The host of the virtual machine cannot be reached."),
    NoScreen.GONE: _("The virtual machine is gone: it is no longer defined on its host."),
}

KEPT: dict[Kept, Promise] = {
    Kept.NO: _("may be removed"),
    Kept.MEDIUM: _("a medium that other VMs may use"),
    Kept.SHARED: _("shared, or only read"),
    Kept.ELSEWHERE: _("outside the host's own storage"),
    Kept.EMPTY: _("an empty drive"),
}

POLICY_ERROR: dict[str, Promise] = {
    "asks_no_guest": _("This action asks no guest, so no policy applies to it."),
    "range": _("Enter whole seconds from 0 to 3600."),
    "default_range": _("Enter whole seconds from 1 to 3600."),
    "in_flight_range": _("Enter a whole number from 1 to 1000."),
    "zero_needs_force": _(
        "0 seconds means no wait at all, which is only possible when the VM may be powered off. Tick the checkbox, or "
        "enter at least 1 second."
    ),
}

TAG_ERROR: dict[str, Promise] = {
    "comma": _("A tag has no comma: commas stand between tags."),
    "empty": _("A tag has a name."),
    "too_long": _("A tag has at most 50 characters."),
    "too_many": _("A virtual machine has at most 20 tags."),
    "gives_roles": _(
        "Roles were given on one of the tags that you add or take off. That needs the permission to give roles."
    ),
}

WEBHOOK_ERROR: dict[str, Promise] = {
    "too_long": _("The URL is longer than 500 characters."),
    "malformed": _("This is not a URL in ASCII characters without a fragment."),
    "scheme": _("The URL begins with https:// or http://."),
    "login": _("The URL has no user name and no password: the signature says who posts."),
    "host": _("The URL names no host."),
}


Choices = list[tuple[str, Promise]]


def _choices(labels: Mapping[Any, Promise]) -> Choices:
    return [(str(member), label) for member, label in labels.items()]


# Django's `choices`. They are functions so that a reworded label needs no migration.


def status_choices() -> Choices:
    """Choices of a VM's status."""
    return _choices(STATUS)


def theme_choices() -> Choices:
    """Choices of the theme."""
    return _choices(THEME)


def action_choices() -> Choices:
    """Choices of an operation's action."""
    return _choices(ACTION)


def stage_choices() -> Choices:
    """Choices of an operation's stage."""
    return _choices(STAGE)


def outcome_choices() -> Choices:
    """Choices of an operation's outcome."""
    return _choices(OUTCOME)


def failure_choices() -> Choices:
    """Choices of an operation's failure."""
    return _choices(FAILURE)


def step_choices() -> Choices:
    """Choices of a step's kind."""
    return _choices(STEP)


def proof_choices() -> Choices:
    """Choices of what shows that a VM is back."""
    return _choices(PROOF)


def origin_choices() -> Choices:
    """Choices of where a setting comes from."""
    return _choices(ORIGIN)
