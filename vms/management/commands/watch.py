"""`manage.py watch`: the watcher process."""

from __future__ import annotations

import signal
from types import FrameType
from typing import Any

from django.core.management.base import BaseCommand

from vms.checker import Checker
from vms.onlookers import GlimpseTaker, Sampler
from vms.watcher import Watcher


class Command(BaseCommand):
    """Hear what happens on the hosts until SIGTERM or SIGINT."""

    help = "Hear what happens on the hosts: wake operations, keep the VMs' state true, test connections to new hosts."

    def handle(self, *args: Any, **options: Any) -> None:
        """Run the watcher, and beside it what tests connections and what looks at the hosts for people."""
        watcher, beside = Watcher(), (Checker(), Sampler(), GlimpseTaker())

        def stop(signum: int, frame: FrameType | None) -> None:
            watcher.stop()
            for each in beside:
                each.stop()

        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, stop)
        for each in beside:
            each.start()
        watcher.run()
        for each in beside:
            each.join()
