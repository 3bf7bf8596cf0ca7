"""What looks at the hosts for people, beside the watcher: samples of what VMs use, and glimpses of single VMs.

Runs in the watcher's process and holds up nothing there: each host has a thread of its own for each of the two. One
that hangs keeps its thread, gets no second one, and loses its samples; the others go on.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial

import structlog
from django.db import close_old_connections, connection

from vms.domain.usage import LEVELS
from vms.engine import glimpses, sampling
from vms.hypervisor.base import HypervisorError
from vms.models import Glimpse, Host

log = structlog.get_logger(__name__)

#: Between two looks for glimpses that are asked for, in seconds: somebody waits for them.
_LOOK_EVERY = 0.5


class _Onlooker(threading.Thread):
    """Does something for each host again and again, until it is told to stop."""

    def __init__(self, name: str, every: float) -> None:
        super().__init__(name=name, daemon=True)
        self._every = every
        self._stop_asked = threading.Event()
        self._at_work: dict[int, threading.Thread] = {}

    def stop(self) -> None:
        """Ask the thread to end."""
        self._stop_asked.set()

    def run(self) -> None:
        """Look after the hosts."""
        while not self._stop_asked.is_set():
            try:
                self._look_after_hosts()
            except Exception:
                log.exception("could not read what is to be looked at; trying again", thread=self.name)
            close_old_connections()
            self._stop_asked.wait(self._every)
        connection.close()

    def _look_after_hosts(self) -> None:
        raise NotImplementedError

    def _begin(self, host: Host, work: Callable[[], object]) -> None:
        """Do some work on a host in a thread, unless the last one has not ended."""
        before = self._at_work.get(host.pk)
        if before is None or not before.is_alive():
            # Not a pool's: nobody waits for it when the process is to end.
            thread = threading.Thread(
                target=self._work, args=[host, work], name=f"{self.name} {host.name}", daemon=True
            )
            self._at_work[host.pk] = thread
            thread.start()

    @staticmethod
    def _work(host: Host, work: Callable[[], object]) -> None:
        try:
            work()
        except HypervisorError as error:
            log.info("a host did not tell", host=host.name, error=str(error))
        except Exception:
            log.exception("looking at a host failed", host=host.name)
        finally:
            connection.close()


class Sampler(_Onlooker):
    """Takes samples of every host that is connected."""

    def __init__(self, every: float = LEVELS[0].every) -> None:
        super().__init__("sample", every)
        self._hosts: dict[int, sampling.HostSampling] = {}

    def _look_after_hosts(self) -> None:
        hosts = {host.pk: host for host in Host.objects.managed().filter(state=Host.State.CONNECTED)}
        # One that was away, or is reached another way now, begins anew.
        self._hosts = {pk: mine for pk, mine in self._hosts.items() if pk in hosts and hosts[pk].uri == mine.host.uri}
        for pk, host in hosts.items():
            self._begin(host, self._hosts.setdefault(pk, sampling.HostSampling(host)).take)


class GlimpseTaker(_Onlooker):
    """Asks the hosts what somebody wants to see of a VM."""

    def __init__(self) -> None:
        super().__init__("glimpse", _LOOK_EVERY)

    def _look_after_hosts(self) -> None:
        asked: dict[Host, list[Glimpse]] = {}
        for glimpse in glimpses.waiting():
            asked.setdefault(glimpse.vm.host, []).append(glimpse)
        for host, mine in asked.items():
            self._begin(host, partial(_take_all, mine))


def _take_all(asked: list[Glimpse]) -> None:
    for glimpse in asked:
        glimpses.take(glimpse)
