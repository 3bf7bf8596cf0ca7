"""Words and sentences for people: the one place where the domain's stable codes become translatable text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from vms.domain.operation import Failure, Outcome, Stage, StepKind
from vms.domain.policy import Origin, PlanKind
from vms.domain.power import Action, VmStatus

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
    VmStatus.MIGRATING: _("Migrating"),
    VmStatus.NOT_RESPONDING: _("Not responding"),
    VmStatus.UNKNOWN: _("Unknown"),
    VmStatus.GONE: _("Gone"),
}

ACTION: dict[Action, Promise] = {
    Action.RUN: _("Run"),
    Action.SHUT_DOWN: _("Shut down"),
    Action.POWER_OFF: _("Power off"),
    Action.REBOOT: _("Reboot"),
    Action.POWER_CYCLE: _("Power cycle"),
    Action.SUSPEND: _("Suspend"),
    Action.RESUME: _("Resume"),
}

STAGE: dict[Stage, Promise] = {
    Stage.ACCEPTED: _("Accepted"),
    Stage.WAITING: _("Waiting for the guest"),
    Stage.DESTROYING: _("Powering off"),
    Stage.STARTING: _("Starting"),
    Stage.COMING_UP: _("Coming up"),
    Stage.SAVING: _("Saving memory"),
    Stage.RESUMING: _("Resuming"),
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
    Failure.RESUME_FAILED: _("The host failed to resume the VM."),
    Failure.DISCARD_FAILED: _("The host failed to discard the saved memory."),
    Failure.WENT_DOWN_AGAIN: _("The VM went down again before it was up."),
    Failure.CRASHED: _("The guest crashed as it came up, and stands still. Look at its screen, then use Power cycle."),
    Failure.SAVED_ELSEWHERE: _("Somebody suspended the VM meanwhile. Run restores its memory; Power off discards it."),
    Failure.STARTED_ELSEWHERE: _("The VM went down, and somebody started it again outside the portal; it is running."),
    Failure.HOST_UNREACHABLE: _("The host could not be reached before the operation's deadline."),
    Failure.DEADLINE: _("The operation was not finished before its deadline."),
}

STEP: dict[StepKind, Promise] = {
    StepKind.PREPARE: _("Marked the run"),
    StepKind.ASK_AGENT: _("Asked the guest agent"),
    StepKind.PRESS_BUTTON: _("Pressed the power button"),
    StepKind.DESTROY: _("Powered off"),
    StepKind.START: _("Started the VM"),
    StepKind.SAVE: _("Saved memory"),
    StepKind.RESUME: _("Resumed"),
    StepKind.DISCARD_MEMORY: _("Discarded saved memory"),
    StepKind.RELENT: _("Let the guest restart again"),
    StepKind.WENT_DOWN: _("Went down"),
    StepKind.STARTED: _("Runs"),
    StepKind.GUEST_RESET: _("The guest restarted instead, which ended its run"),
    StepKind.FORCE_NOW: _("Force now"),
    StepKind.EXTEND: _("Extended"),
    StepKind.CANCEL: _("Cancel"),
}

PLAN: dict[PlanKind, Promise] = {
    PlanKind.ASK_AGENT: _("Ask the guest agent to shut the guest down"),
    PlanKind.PRESS_BUTTON: _("Press the power button (ACPI), again every 10 s"),
    PlanKind.POWER_OFF: _("Power the VM off; what the guest has not saved is lost"),
    PlanKind.GIVE_UP: _("Give up: the VM stays Up, and an event says so"),
    PlanKind.DISCARD_MEMORY: _("Discard the saved memory; what the guest had not saved is lost"),
    PlanKind.START: _("Start the VM"),
    PlanKind.RESTORE: _("Start the VM with its saved memory"),
    PlanKind.RESUME: _("Let the VM run on"),
    PlanKind.SAVE: _("Save the VM's memory to its host and stop it"),
    PlanKind.REFUSED: _("The guest cannot be asked: no guest agent is connected and it has no power button (ACPI)"),
}

#: The same in a word or two, for a plan on one line.
PLAN_SHORT: dict[PlanKind, Promise] = {
    PlanKind.ASK_AGENT: _("ask the guest agent"),
    PlanKind.PRESS_BUTTON: _("press the power button"),
    PlanKind.POWER_OFF: _("power off"),
    PlanKind.GIVE_UP: _("give up"),
    PlanKind.DISCARD_MEMORY: _("discard the saved memory"),
    PlanKind.START: _("start"),
    PlanKind.RESTORE: _("restore its memory"),
    PlanKind.RESUME: _("run on"),
    PlanKind.SAVE: _("save its memory"),
    PlanKind.REFUSED: _("no way to ask"),
}

ORIGIN: dict[Origin, Promise] = {
    Origin.VM: _("this VM"),
    Origin.DEFAULT: _("portal default"),
    Origin.REQUEST: _("this request"),
    Origin.PENDING_CHANGES: _("pending changes must be applied"),
}

POLICY_ERROR: dict[str, Promise] = {
    "asks_no_guest": _("This action asks no guest, so no policy applies to it."),
    "range": _("Enter whole seconds from 0 to 3600."),
    "default_range": _("Enter whole seconds from 1 to 3600."),
    "zero_needs_force": _(
        "0 seconds means no wait at all, which is only possible when the VM may be powered off. Tick the checkbox, or "
        "enter at least 1 second."
    ),
}


Choices = list[tuple[str, Promise]]


def _choices(labels: Mapping[Any, Promise]) -> Choices:
    return [(str(member), label) for member, label in labels.items()]


# Django's `choices`. They are functions so that a reworded label needs no migration.


def status_choices() -> Choices:
    """Choices of a VM's status."""
    return _choices(STATUS)


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


def origin_choices() -> Choices:
    """Choices of where a setting comes from."""
    return _choices(ORIGIN)
