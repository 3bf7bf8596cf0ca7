"""The authority on what a person can have done to a VM: one function a verb, used by pages, admin, API and bulk alike.

Each one is a single transaction: permission, conflict, operation, status, event; a worker is woken on commit.
"""

from vms.actions.asking import (
    Preview,
    power_cycle,
    power_off,
    preview,
    previews,
    reboot,
    remove,
    request,
    resume,
    run,
    run_once,
    shut_down,
    suspend,
)
from vms.actions.bulk import Answer, Asked, cancel_queued, request_each
from vms.actions.common import Refused
from vms.actions.configuring import configure, revert, waiting_changes
from vms.actions.editing import SettingChange, edit
from vms.actions.hosts import HostTaken, add_host, change_host, check_host, remove_host
from vms.actions.looking import look
from vms.actions.notices import subscribe
from vms.actions.policy import set_defaults, set_options, set_policy, set_retention
from vms.actions.roles import give_role, take_role
from vms.actions.steering import cancel, extend, force_now
from vms.actions.tags import set_tags
from vms.actions.verdicts import refusal_text, verdict_for

__all__ = [
    "Answer",
    "Asked",
    "HostTaken",
    "Preview",
    "Refused",
    "SettingChange",
    "add_host",
    "cancel",
    "cancel_queued",
    "change_host",
    "check_host",
    "configure",
    "edit",
    "extend",
    "force_now",
    "give_role",
    "look",
    "power_cycle",
    "power_off",
    "preview",
    "previews",
    "reboot",
    "refusal_text",
    "remove",
    "remove_host",
    "request",
    "request_each",
    "resume",
    "revert",
    "run",
    "run_once",
    "set_defaults",
    "set_options",
    "set_policy",
    "set_retention",
    "set_tags",
    "shut_down",
    "subscribe",
    "suspend",
    "take_role",
    "verdict_for",
    "waiting_changes",
]
