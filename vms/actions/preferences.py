"""What a person prefers: everybody sets their own, and nobody else's."""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction

from vms import permissions
from vms.domain.preferences import Hint, Theme, dismiss
from vms.models import Preference


def set_preferences(
    person: User, *, shortcuts: bool | None = None, language: str | None = None, theme: Theme | str | None = None
) -> None:
    """Set what a person prefers; None leaves a wish as it is.

    Args:
        language: A code of `settings.LANGUAGES`; "" for what the browser asks for.
        theme: A `Theme`; "" for what was chosen in the browser.

    Raises:
        PermissionDenied: Somebody who was deactivated.
        ValueError: There is no such language or theme.
    """
    if language and language not in dict(settings.LANGUAGES):
        raise ValueError("the portal does not speak that language")
    wishes = {
        "shortcuts": shortcuts,
        "language": language,
        "theme": str(Theme(theme)) if theme else theme,
    }
    _keep(person, **{name: wish for name, wish in wishes.items() if wish is not None})


def set_name(person: User, first_name: str, last_name: str) -> None:
    """Set what a person is called, beside the name they log in with.

    Raises:
        PermissionDenied: Somebody who was deactivated.
    """
    permissions.require(person.is_active)
    person.first_name, person.last_name = first_name, last_name
    person.save(update_fields=["first_name", "last_name"])


def dismiss_hint(person: User, hint: Hint) -> None:
    """Show a page's hint to a person no more.

    Raises:
        PermissionDenied: Somebody who was deactivated.
    """
    with transaction.atomic():
        # The row is made first, and then held: two pages' hints that are dismissed at once are both kept.
        _keep(person)
        kept = Preference.objects.select_for_update().get(user=person)
        _keep(person, hints_dismissed=dismiss(kept.hints_dismissed, hint))


def show_hints(person: User) -> None:
    """Show a person every page's hint again.

    Raises:
        PermissionDenied: Somebody who was deactivated.
    """
    _keep(person, hints_dismissed=[])


def _keep(person: User, **wishes: object) -> None:
    permissions.require(person.is_active)
    person.preference, _made = Preference.objects.update_or_create(user=person, defaults=wishes)
