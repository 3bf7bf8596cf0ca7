"""Sends the mails that are written: each at least once, and twice only where a worker died just after sending one.

A mail is marked before it is handed to the mail server and again afterwards. Where the second mark is missing, nobody
knows whether the server took it; it is sent again, with the same Message-ID, by which a repetition can be told.
Whether a person may see the VM is looked at here, at the last moment.
"""

from __future__ import annotations

import smtplib
from datetime import timedelta
from urllib.parse import urlsplit

import structlog
from django.conf import settings
from django.core.mail import EmailMessage, get_connection
from django.core.mail.backends.base import BaseEmailBackend
from django.db import transaction
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from vms import labels, permissions
from vms.domain import notice
from vms.domain.operation import Failure, Outcome
from vms.domain.power import Action
from vms.engine.records import Code, record
from vms.models import Event, Mail

log = structlog.get_logger(__name__)

#: A mail that is being sent belongs to its sender for this long: longer than a task may run.
_SENDER_HAS = timedelta(seconds=60)
#: At most so many in one go; a task has to end before its time limit.
_AT_ONCE = 50
_ENOUGH = timedelta(seconds=20)
_LONGEST_ERROR = 1000


def send_due() -> int:
    """Send what is due, until the mail server fails, and return how many were sent."""
    if not settings.PORTAL_MAILS:
        return 0
    sent, stop_at = 0, timezone.now() + _ENOUGH
    connection = get_connection()
    try:
        for _number in range(_AT_ONCE):
            mail = _claim_next() if timezone.now() < stop_at else None
            if mail is None or not _deliver(mail, connection):
                break
            sent += mail.state == Mail.State.SENT
    finally:
        _hang_up(connection)
    return sent


def _claim_next() -> Mail | None:
    """Take the mail that has been due for longest; from now on nobody else sends it."""
    now = timezone.now()
    unsent = Mail.objects.filter(state__in=(Mail.State.WAITING, Mail.State.SENDING), due_at__lte=now)
    while (found := unsent.order_by("due_at", "pk").values("pk", "attempts").first()) is not None:
        claimed = unsent.filter(**found).update(
            state=Mail.State.SENDING, attempts=found["attempts"] + 1, due_at=now + _SENDER_HAS
        )
        if claimed:
            return Mail.objects.select_related("user", "operation__vm__host").get(pk=found["pk"])
    return None


def _deliver(mail: Mail, connection: BaseEmailBackend) -> bool:
    """Send one mail and write down what came of it; False when the server is not to be tried again now."""
    if not (mail.user.is_active and mail.user.email and permissions.may_view(mail.user, mail.operation.vm)):
        _finish(mail, Mail.State.WITHHELD)
        return True
    try:
        message(mail, connection).send()
    except smtplib.SMTPRecipientsRefused as error:
        code, said = next(iter(error.recipients.values()))
        return _refused(mail, code, f"{code} {_text(said)}")
    except smtplib.SMTPResponseException as error:
        return _refused(mail, error.smtp_code, f"{error.smtp_code} {_text(error.smtp_error)}")
    except (OSError, smtplib.SMTPException) as error:
        _try_again_later(mail, str(error) or type(error).__name__)
        return False
    _finish(mail, Mail.State.SENT, sent_at=timezone.now())
    return True


def _hang_up(connection: BaseEmailBackend) -> None:
    """Close the connection; what was sent was taken before, so a server that is gone makes no difference."""
    try:
        connection.close()
    except (OSError, smtplib.SMTPException) as error:
        log.warning("the mail server did not say goodbye", error=str(error))
