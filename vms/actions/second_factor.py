"""Switching the second factor on and off, and new recovery codes.

That somebody who is logged in has shown their password once more is what the pages see to.
"""

from __future__ import annotations

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from vms import permissions
from vms.domain import second_factor
from vms.engine.records import Code, record
from vms.models import Event, RecoveryCode, SecondFactor


@transaction.atomic
def enable_second_factor(person: User, secret: str, code: str) -> list[str] | None:
    """Have somebody log in with codes from now on.

    Args:
        secret: What their app was given.
        code: What it shows now.

    Returns:
        Their recovery codes, which nobody can be told again; None where the code is not right.

    Raises:
        PermissionDenied: Somebody who was deactivated.
    """
    permissions.require(person.is_active)
    interval = second_factor.matching_interval(secret, code, timezone.now().timestamp())
    if interval is None:
        return None
    SecondFactor.objects.update_or_create(
        user=person, defaults={"secret": secret, "used_interval": interval, "since": timezone.now()}
    )
    record(Code.SECOND_FACTOR_ENABLED, f"{person.get_username()} switched two-factor login on.", actor=person)
    return _new_codes(person)


@transaction.atomic
def disable_second_factor(person: User, *, by: User) -> None:
    """Have somebody log in with their password alone.

    Args:
        by: They themselves, or who helps somebody that has lost app and recovery codes.

    Raises:
        PermissionDenied: Somebody else who may not.
    """
    permissions.require(permissions.may_remove_second_factor(by, person))
    RecoveryCode.objects.filter(user=person).delete()
    had, _each = SecondFactor.objects.filter(user=person).delete()
    if had:
        message = f"{by.get_username()} switched two-factor login of {person.get_username()} off."
        record(Code.SECOND_FACTOR_DISABLED, message, severity=Event.Severity.WARNING, actor=by)


@transaction.atomic
def renew_recovery_codes(person: User) -> list[str]:
    """Give somebody new recovery codes, and let the old ones go.

    Raises:
        PermissionDenied: Somebody who logs in without codes, or was deactivated.
    """
    permissions.require(person.is_active and SecondFactor.objects.filter(user=person).exists())
    record(Code.RECOVERY_CODES_RENEWED, f"{person.get_username()} made new recovery codes.", actor=person)
    return _new_codes(person)


def _new_codes(person: User) -> list[str]:
    codes = second_factor.new_recovery_codes()
    RecoveryCode.objects.filter(user=person).delete()
    RecoveryCode.objects.bulk_create(RecoveryCode(user=person, digest=second_factor.digest_of(code)) for code in codes)
    return codes
