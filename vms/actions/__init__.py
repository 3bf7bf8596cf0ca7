"""The authority on what a person can have done to a VM: one function a verb, used by pages, admin, API and bulk alike.

Each one is a single transaction: permission, conflict, operation, status, event; a worker is woken on commit.
"""

from vms.actions.adding import add_vm
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
from vms.actions.external import (
    add_event,
    begin_job,
    begin_step,
    clear_job,
    end_job,
    end_step,
    withdraw_event,
)
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
from vms.actions.tags import add_tag, check_tags, put_tag, remove_tag, set_tags, take_tag
from vms.actions.verdicts import refusal_text, verdict_for
from vms.actions.webhooks import (
    add_webhook,
    change_webhook,
    event_kinds,
    remove_webhook,
    renew_webhook_secret,
    send_test,
)

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
    "add_event",
    "add_host",
    "add_tag",
    "add_vm",
    "add_webhook",
    "assign",
    "begin_job",
    "begin_session",
    "begin_step",
    "caller_of",
    "cancel",
    "cancel_queued",
    "change_host",
    "change_webhook",
    "check_assignment",
    "check_host",
    "check_tags",
    "clear_job",
    "code_is",
    "configure",
    "console_refusal",
    "console_ticket",
    "disable_second_factor",
    "dismiss_hint",
    "edit",
    "enable_second_factor",
    "end_job",
    "end_other_sessions",
    "end_step",
    "event_kinds",
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
    "put_tag",
    "reboot",
    "refusal_text",
    "remove",
    "remove_host",
    "remove_tag",
    "remove_webhook",
    "renew_recovery_codes",
    "renew_webhook_secret",
    "request",
    "request_each",
    "resume",
    "revert",
    "revoke_token",
    "run",
    "run_once",
    "send_test",
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
    "take_tag",
    "token_of",
    "unassign",
    "verdict_for",
    "waiting_changes",
    "withdraw_event",
]
