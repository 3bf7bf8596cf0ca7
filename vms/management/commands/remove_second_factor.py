"""`manage.py remove_second_factor NAME`: for the administrator who has lost app and recovery codes."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError

from vms import actions, queries


class Command(BaseCommand):
    """Have somebody log in with their password alone again."""

    help = "Switch a person's two-factor login off. Needs no login: who runs this has the portal's database."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take the name."""
        parser.add_argument("name", help="that the person logs in with")

    def handle(self, *args: Any, **options: Any) -> None:
        """Switch it off, as they themselves would."""
        person = User.objects.filter(username=options["name"]).first()
        if person is None or queries.two_factor(person) is None:
            raise CommandError("Nobody of this name has two-factor login switched on.")
        actions.disable_second_factor(person, by=person)
        self.stdout.write("Two-factor login is off.")
