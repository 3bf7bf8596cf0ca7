"""Records who logs in and out, wherever they do."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User
from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.dispatch import receiver

from vms.engine.records import Code, record


@receiver(user_logged_in)
def _logged_in(user: User, **kwargs: Any) -> None:
    record(Code.USER_LOGGED_IN, f"{user.get_username()} logged in.", actor=user)


@receiver(user_logged_out)
def _logged_out(user: User | None, **kwargs: Any) -> None:
    # Nobody, where the session had run out.
    if user is not None:
        record(Code.USER_LOGGED_OUT, f"{user.get_username()} logged out.", actor=user)
