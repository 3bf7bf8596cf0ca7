"""`manage.py clean_up`: let history go that is older than it is to be kept, now instead of tonight."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from vms.engine import retention


class Command(BaseCommand):
    """Clear old events and operations away."""

    help = "Delete the events and operations that are older than the portal's defaults say. Beat does so every night."

    def handle(self, *args: Any, **options: Any) -> None:
        """Delete them, and say how many."""
        removed = retention.clean_up()
        self.stdout.write(f"Removed {removed.operations} operations and {removed.events} events.")
