"""Sends the mails that are written: each at least once, and twice only where a worker died just after sending one.

A mail is marked before it is handed to the mail server and again afterwards. Where the second mark is missing, nobody
knows whether the server took it; it is sent again, with the same Message-ID, by which a repetition can be told.
Whether a person may see the VM is looked at here, at the last moment.
"""

from __future__ import annotations

import smtplib
from datetime import datetime, timedelta
from typing import Any

import structlog
from django.conf import settings
from django.core.mail import get_connection
from django.core.mail.backends.base import BaseEmailBackend
from django.db import transaction
from django.db.models import Max
from django.utils import timezone

from vms import letters, permissions
from vms.domain import notice
from vms.engine.records import Code, record
from vms.models import Event, Mail

log = structlog.get_logger(__name__)

#: A mail that is being sent belongs to its sender for this long: longer than a task may run.
_SENDER_HAS = timedelta(seconds=60)
#: So long at most in one go, and so many: a task has to end before its time limit.
_ENOUGH = timedelta(seconds=15)
_AT_ONCE = 200
_LONGEST_ERROR = 500
#: Answers of a mail server from here on are for good; those below ask for another attempt.
_FOR_GOOD = 500


def send_due() -> int:
    """Send what is due, until the mail server fails, and return how many were sent."""
    if not settings.PORTAL_MAILS:
        return 0
    now = timezone.now()
    _give_up_old(now)
    sent, connection = 0, get_connection()
    try:
        while sent < _AT_ONCE and timezone.now() < now + _ENOUGH and (mail := _claim_next()) is not None:
            if not _may_see(mail):
                _end(mail, Mail.State.WITHHELD)
                continue
            if not _hand_over(mail, connection):
                break
            sent += mail.state == Mail.State.SENT
    finally:
        _hang_up(connection)
    return sent


def _claim_next() -> Mail | None:
    """Take the mail that has been due for longest: from now on, and for a while, it is nobody else's to send."""
    now = timezone.now()
    due = Mail.objects.filter(state__in=Mail.UNSENT, due_at__lte=now)
    while (found := due.order_by("due_at", "pk").values("pk", "attempts").first()) is not None:
        if due.filter(**found).update(
            state=Mail.State.SENDING, attempts=found["attempts"] + 1, due_at=now + _SENDER_HAS
        ):
            return Mail.objects.select_related("user__preference", "operation__vm__host").get(pk=found["pk"])
    return None


def _may_see(mail: Mail) -> bool:
    return bool(mail.user.email) and permissions.may_view(mail.user, mail.operation.vm)


def _hand_over(mail: Mail, connection: BaseEmailBackend) -> bool:
    """Hand a mail to the mail server and write down what came of it; False when the server takes none at all."""
    try:
        connection.open()
        letters.notice(mail, connection).send()
    except smtplib.SMTPRecipientsRefused as error:
        _refused(mail, *next(iter(error.recipients.values())))
    except smtplib.SMTPDataError as error:
        _refused(mail, error.smtp_code, error.smtp_error)
    except OSError as error:  # smtplib's errors are such, too
        _server_failed(mail, str(error) or type(error).__name__)
        return False
    else:
        _end(mail, Mail.State.SENT, sent_at=timezone.now(), error="")
    return True


def _refused(mail: Mail, code: int, said: bytes | str) -> None:
    """The server does not take this mail, for now or for good; others it may."""
    text = said.decode(errors="replace") if isinstance(said, bytes) else said
    error = f"{code} {text}"[:_LONGEST_ERROR]
    if code < _FOR_GOOD:
        _try_again(mail, error)
        return
    with transaction.atomic():
        _end(mail, Mail.State.GIVEN_UP, error=error)
        message = f"The mail server refuses the notice to {mail.user}: {error} Correct the address on the Account page."
        record(Code.MAIL_FAILED, message, severity=Event.Severity.WARNING, operation=mail.operation)


def _server_failed(mail: Mail, error: str) -> None:
    """The server cannot be used. One event tells of that until a mail is sent again, however many wait."""
    with transaction.atomic():
        _try_again(mail, error[:_LONGEST_ERROR])
        sent_at = Mail.objects.aggregate(last=Max("sent_at"))["last"]
        told = Event.objects.filter(code=Code.MAIL_SERVER_FAILED)
        if not (told.filter(at__gt=sent_at) if sent_at is not None else told).exists():
            hours = notice.GIVE_UP_AFTER // timedelta(hours=1)
            message = (
                f"Notices cannot be sent: {error} They are tried again for {hours} hours. Look at the mail server, and "
                "at EMAIL_URL."
            )
            record(Code.MAIL_SERVER_FAILED, message, severity=Event.Severity.WARNING)


def _give_up_old(now: datetime) -> None:
    """Give up what could not be sent for a day, with one event for all of it."""
    with transaction.atomic():
        old = Mail.objects.filter(state__in=Mail.UNSENT, due_at__lte=now, created_at__lte=now - notice.GIVE_UP_AFTER)
        if count := old.update(state=Mail.State.GIVEN_UP):
            hours = notice.GIVE_UP_AFTER // timedelta(hours=1)
            message = f"{count} notices could not be sent within {hours} hours and were given up."
            record(Code.MAIL_FAILED, message, severity=Event.Severity.WARNING)


def _try_again(mail: Mail, error: str) -> None:
    log.warning("mail not sent", mail=mail.pk, attempts=mail.attempts, error=error)
    due_at = timezone.now() + notice.retry_gap(mail.attempts)
    _end(mail, Mail.State.WAITING, due_at=due_at, error=error)


def _end(mail: Mail, state: Mail.State, **fields: Any) -> None:
    """Write down what came of an attempt, unless another sender has taken the mail meanwhile."""
    mine = Mail.objects.filter(pk=mail.pk, attempts=mail.attempts)
    mine.update(state=state, **fields)
    mail.state = state


def _hang_up(connection: BaseEmailBackend) -> None:
    """Close the connection. Whatever was sent was taken before, so a server that is gone makes no difference."""
    try:
        connection.close()
    except OSError as error:
        log.warning("the mail server did not say goodbye", error=str(error))
