"""The authority on what a person can have done to a VM: one function a verb, used by pages, admin, API and bulk alike.

Each one is a single transaction: permission, conflict, operation, status, event; a worker is woken on commit.
"""

from vms.actions.api_tokens import (
    Caller,
    begin_session,
    caller_of,
    log_in,
    log_out,
    make_token,
    revoke_token,
    token_of,
)
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
from vms.actions.common import ReasonRequired, Refused
from vms.actions.configuring import configure, revert, waiting_changes
from vms.actions.console import console_refusal, console_ticket
from vms.actions.editing import SettingChange, edit
from vms.actions.hosts import HostTaken, add_host, change_host, check_host, remove_host
from vms.actions.looking import look
from vms.actions.notices import subscribe
from vms.actions.policy import set_defaults, set_options, set_policy, set_retention
from vms.actions.preferences import dismiss_hint, set_name, set_preferences, show_hints
from vms.actions.roles import assign, check_assignment, give_role, take_role, unassign
from vms.actions.second_factor import disable_second_factor, enable_second_factor, renew_recovery_codes
from vms.actions.signing_in import (
    TooSoon,
    code_is,
    end_other_sessions,
    is_password_of,
    needs_code,
    password_is,
    person_of,
)
from vms.actions.steering import cancel, extend, force_now
from vms.actions.tags import check_tags, set_tags
from vms.actions.verdicts import refusal_text, verdict_for

__all__ = [
    "Answer",
    "Asked",
    "Caller",
    "HostTaken",
    "Preview",
    "ReasonRequired",
    "Refused",
    "SettingChange",
    "TooSoon",
    "add_host",
    "assign",
    "begin_session",
    "caller_of",
    "cancel",
    "cancel_queued",
    "change_host",
    "check_assignment",
    "check_host",
    "check_tags",
    "code_is",
    "configure",
    "console_refusal",
    "console_ticket",
    "disable_second_factor",
    "dismiss_hint",
    "edit",
    "enable_second_factor",
    "end_other_sessions",
    "extend",
    "force_now",
    "give_role",
    "is_password_of",
    "log_in",
    "log_out",
    "look",
    "make_token",
    "needs_code",
    "password_is",
    "person_of",
    "power_cycle",
    "power_off",
    "preview",
    "previews",
    "reboot",
    "refusal_text",
    "remove",
    "remove_host",
    "renew_recovery_codes",
    "request",
    "request_each",
    "resume",
    "revert",
    "revoke_token",
    "run",
    "run_once",
    "set_defaults",
    "set_name",
    "set_options",
    "set_policy",
    "set_preferences",
    "set_retention",
    "set_tags",
    "show_hints",
    "shut_down",
    "subscribe",
    "suspend",
    "take_role",
    "token_of",
    "unassign",
    "verdict_for",
    "waiting_changes",
]
