"""The authority on events: their codes (oVirt's, own ones from 100001), severities and sentences."""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum, unique
from functools import wraps
from typing import ParamSpec, TypeVar

import structlog
from django.conf import settings
from django.contrib.auth.models import AnonymousUser, User
from django.db import transaction
from django.utils import translation
from structlog.contextvars import get_contextvars

from vms.engine import changes, webhooks
from vms.models import Event, Host, Operation, VirtualMachine

P = ParamSpec("P")
R = TypeVar("R")

log = structlog.get_logger(__name__)


@unique
class Code(IntEnum):
    """Event codes. Those below 100000 are oVirt's, with oVirt's meaning."""

    HOST_FAILURE = 12
    HOST_DETECTED = 13
    USER_LOGGED_IN = 30
    USER_LOGGED_OUT = 31
    VM_RUN_ON_HOST = 32
    VM_POWERED_OFF = 33
    VM_ADDED = 34
    VM_UPDATED = 35
    HOST_ADDED = 42
    HOST_UPDATED = 43
    HOST_REMOVED = 44
    VM_RUN_FAILED = 54
    VM_UPDATE_FAILED = 58
    VM_ADD_FAILED = 60
    VM_DOWN = 61
    VM_SHUTDOWN_INITIATED = 73
    VM_SHUTDOWN_FAILED = 74
    VM_REMOVED = 113
    LOGIN_FAILED = 114
    VM_DOWN_WITH_ERROR = 119
    VM_POWER_DOWN_FAILED = 147
    VM_STARTED_BY_USER = 153
    VM_REBOOTED = 157
    VM_REBOOT_FAILED = 158
    CONSOLE_OPENED = 167
    CONSOLE_CLOSED = 168
    VM_RESET = 221
    VM_RESET_FAILED = 222
    VM_SUSPENDING = 501
    VM_SUSPEND_FAILED = 502
    VM_SUSPENDED = 503
    COLD_REBOOT_DOWN = 9611
    COLD_REBOOT_FAILED = 9612
    COLD_REBOOT_GAVE_UP = 9613
    EXTERNAL_NORMAL = 9801
    EXTERNAL_WARNING = 9802
    EXTERNAL_ERROR = 9803
    EXTERNAL_ALERT = 9804
    VM_DISCOVERED = 100001
    VM_GONE = 100002
    VM_STARTED_ELSEWHERE = 100003
    GUEST_RESET = 100004
    OBEYED_LATE = 100005
    FORCE_NOW = 100006
    EXTENDED = 100007
    CANCEL_REQUESTED = 100008
    ACCEPTED = 100009
    SUPERSEDED = 100010
    DEFAULTS_CHANGED = 100011
    MAIL_FAILED = 100030
    MAIL_SERVER_FAILED = 100031
    CLEANED_UP = 100032
    VM_REMOVE_FAILED = 100033
    SECOND_FACTOR_ENABLED = 100040
    SECOND_FACTOR_DISABLED = 100041
    SECOND_FACTOR_REFUSED = 100042
    RECOVERY_CODE_USED = 100043
    RECOVERY_CODES_RENEWED = 100044
    SESSIONS_ENDED = 100045
    API_TOKEN_MADE = 100046
    API_TOKEN_REVOKED = 100047
    ROLE_GIVEN = 100050
    ROLE_TAKEN = 100051
    TAG_ADDED = 100070
    TAG_REMOVED = 100071
    WEBHOOK_ADDED = 100060
    WEBHOOK_UPDATED = 100061
    WEBHOOK_REMOVED = 100062
    WEBHOOK_DISABLED = 100063
    WEBHOOK_FAILED = 100064


def in_english(tell: Callable[P, R]) -> Callable[P, R]:
    """Have what makes sentences of events speak the language they are kept in, whatever that of who causes them."""

    @wraps(tell)
    def telling(*args: P.args, **kwargs: P.kwargs) -> R:
        with translation.override(settings.LANGUAGE_CODE):
            return tell(*args, **kwargs)

    return telling


def record(
    code: Code,
    message: str,
    *,
    severity: Event.Severity = Event.Severity.NORMAL,
    vm: VirtualMachine | None = None,
    host: Host | None = None,
    operation: Operation | None = None,
    actor: User | AnonymousUser | None = None,
    correlation_id: str = "",
) -> Event:
    """Add an event in the caller's transaction, what webhooks are to be told of it, and a log line that says the same.

    Args:
        correlation_id: By default its operation's, or that of the request that it is written in.
    """
    with transaction.atomic(savepoint=False):
        event = Event.objects.create(
            code=code,
            severity=severity,
            message=message,
            vm=vm,
            host=host or (vm.host if vm else None),
            operation=operation,
            actor=actor if isinstance(actor, User) else None,
            actor_name=actor.get_username() if actor is not None else "",
            correlation_id=correlation_id or _correlation_id(operation),
        )
        webhooks.write(event)
    changes.tell(*([vm.pk] if vm else []), topics=[changes.EVENTS])
    log.info(
        "event",
        code=int(code),
        severity=str(severity),
        message=message,
        vm=str(vm.pk) if vm else None,
        operation=str(operation.pk) if operation else None,
        correlation_id=event.correlation_id or None,
    )
    return event


def _correlation_id(operation: Operation | None) -> str:
    return operation.correlation_id if operation is not None else str(get_contextvars().get("correlation_id", ""))
