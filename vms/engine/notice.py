"""Writes down who is to be mailed about an operation that ends, in the transaction that ends it.

Only a row: its text is made, and the person's right to see the VM is looked at, when it is sent (`vms.outbox`). So
neither a mail server nor the number of people who want to hear holds an operation up.
"""

from __future__ import annotations

from django.conf import settings
from django.db.models import Q

from vms.domain import notice
from vms.models import Mail, Operation, Subscription


def write(row: Operation) -> None:
    """Write a mail for everybody who wants to hear of this end on this VM; for nobody while mail is off."""
    if not settings.PORTAL_MAILS or row.outcome not in notice.OUTCOMES:
        return
    wanted = Subscription.objects.filter(
        Q(tag__isnull=True) | Q(tag__vms=row.vm_id), outcome=row.outcome, user__is_active=True
    ).exclude(user__email="")
    people = wanted.order_by("user").values_list("user", flat=True).distinct()
    Mail.objects.bulk_create(Mail(user_id=person, operation=row) for person in people)
