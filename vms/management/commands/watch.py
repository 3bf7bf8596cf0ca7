"""`manage.py watch`: the watcher process."""

from __future__ import annotations

import signal
from types import FrameType
from typing import Any

from django.core.management.base import BaseCommand

from vms.watcher import Watcher


class Command(BaseCommand):
    """Hear what happens on the hosts until SIGTERM or SIGINT."""

    help = "Hear what happens on the hosts: wake operations and keep the VMs' state true."

    def handle(self, *args: Any, **options: Any) -> None:
        """Run the watcher."""
        watcher = Watcher()

        def stop(signum: int, frame: FrameType | None) -> None:
            watcher.stop()

        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, stop)
        watcher.run()
