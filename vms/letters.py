"""What a notice says: the VM, what was done to it, how that ended and why, what one can do, and where to look."""

from __future__ import annotations

from urllib.parse import urlsplit

from django.conf import settings
from django.core.mail import EmailMessage
from django.core.mail.backends.base import BaseEmailBackend
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import translation
from django.utils.translation import gettext as _

from vms import labels
from vms.domain.operation import Outcome
from vms.models import Mail, Operation, Preference


def notice(mail: Mail, connection: BaseEmailBackend) -> EmailMessage:
    """Return the mail about an operation that ended: the same at every attempt, Message-ID included.

    In the language its reader prefers; who prefers none is written to in English, as there is no browser to ask.
    """
    with translation.override(Preference.of(mail.user).language or settings.LANGUAGE_CODE):
        return _notice(mail, connection)


def _notice(mail: Mail, connection: BaseEmailBackend) -> EmailMessage:
    operation = mail.operation
    text = {
        "operation": operation,
        "happened": _happened(operation),
        "advice": labels.ADVICE[Outcome(operation.outcome)],
        "operation_url": f"{settings.PORTAL_URL}{operation.get_absolute_url()}",
        "account_url": f"{settings.PORTAL_URL}{reverse('account')}",
    }
    return EmailMessage(
        subject=_("%(vm)s: %(action)s – %(outcome)s")
        % {
            "vm": operation.vm.name,
            "action": operation.get_action_display(),
            "outcome": operation.get_outcome_display(),
        },
        body=render_to_string("mail/operation_ended.txt", text),
        to=[mail.user.email],
        connection=connection,
        headers={
            "Message-ID": f"<{operation.pk}.{mail.user_id}@{urlsplit(settings.PORTAL_URL).hostname}>",
            # Nobody's out-of-office note is to answer it.
            "Auto-Submitted": "auto-generated",
        },
    )


def _happened(operation: Operation) -> str:
    """Return the sentence of the event that told of the end."""
    return operation.events.order_by("-id").values_list("message", flat=True).first() or ""
