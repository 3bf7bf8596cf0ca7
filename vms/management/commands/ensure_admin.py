"""`manage.py ensure_admin`: make sure that somebody can log in."""

import os
from argparse import ArgumentParser
from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError

from vms import actions


class Command(BaseCommand):
    """Creates the administrator once. A password that was changed in the portal is kept, unless told otherwise."""

    help = "Create the administrator with the password in PORTAL_ADMIN_PASSWORD, unless the account exists already."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Name the account, and say whether an existing one gets the password too."""
        parser.add_argument("--username", default="admin")
        parser.add_argument("--set-password", action="store_true", help="set the password of an existing account too")

    def handle(self, *args: Any, username: str, set_password: bool, **options: Any) -> None:
        """Print what the password is now: `created`, `set`, `unchanged`, or `changed` (by its owner, and kept)."""
        password = os.environ.get("PORTAL_ADMIN_PASSWORD", "")
        if not password:
            raise CommandError("PORTAL_ADMIN_PASSWORD is empty: put the administrator's password there.")
        user = User.objects.filter(username=username).first()
        if user is None:
            User.objects.create_superuser(username=username, password=password)
            state = "created"
        elif actions.is_password_of(user, password):
            state = "unchanged"
        elif set_password:
            user.set_password(password)
            user.save(update_fields=["password"])
            state = "set"
        else:
            state = "changed"
        self.stdout.write(state)
