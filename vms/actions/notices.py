"""What a person wants to be mailed about, and where to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from django.contrib.auth.models import User
from django.db import transaction

from vms import permissions
from vms.domain import notice
from vms.domain.operation import Outcome
from vms.models import Subscription


def subscribe(person: User, email: str, wishes: Mapping[int | None, Iterable[Outcome]]) -> None:
    """Set one's own address and all of one's wishes.

    Args:
        email: Where to; "" for nowhere, and then nothing is sent.
        wishes: The outcomes to be told of, by the id of the VMs' tag; None: on any VM.

    Raises:
        PermissionDenied: Somebody who was deactivated.
        ValueError: An outcome that nobody is mailed about.
    """
    permissions.require(person.is_active)
    wanted = [(tag, Outcome(outcome)) for tag, outcomes in wishes.items() for outcome in outcomes]
    if any(outcome not in notice.OUTCOMES for _tag, outcome in wanted):
        raise ValueError("nobody is mailed about that")
    with transaction.atomic():
        User.objects.filter(pk=person.pk).update(email=email)
        Subscription.objects.filter(user=person).delete()
        Subscription.objects.bulk_create(
            Subscription(user=person, tag_id=tag, outcome=outcome) for tag, outcome in wanted
        )
    person.email = email
