"""What follows, wherever it happens: who logs in and out is recorded, and who is deactivated has no tokens left."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User
from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.db.models.signals import post_save
from django.dispatch import receiver

from vms.engine.records import Code, record
from vms.models import ApiToken


@receiver(user_logged_in)
def _logged_in(user: User, **kwargs: Any) -> None:
    record(Code.USER_LOGGED_IN, f"{user.get_username()} logged in.", actor=user)


@receiver(user_logged_out)
def _logged_out(user: User | None, **kwargs: Any) -> None:
    # Nobody, where the session had run out.
    if user is not None:
        record(Code.USER_LOGGED_OUT, f"{user.get_username()} logged out.", actor=user)


@receiver(post_save, sender=User)
def _saved(instance: User, **kwargs: Any) -> None:
    # Gone for good: who comes back makes new ones.
    if not instance.is_active:
        ApiToken.objects.filter(person=instance).delete()
