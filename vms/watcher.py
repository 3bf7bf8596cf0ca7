"""Hears what happens on the hosts: events become wakes of operations, and looks at domains.

Events are hints. Whatever was missed is found by the full listing that follows every (re)connection, and by the one
every few seconds; an operation that nobody wakes is found by the sweep. So the watcher may be killed at any moment.

One thread a host takes events from a queue in order; a host that hangs slows no other.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from django.db import close_old_connections
from django.db import connections as databases
from django.utils import timezone

from vms import queues, tasks
from vms.domain.operation import Stage
from vms.engine import guest_restart, hearing, journal, lease, sweep, sync
from vms.hypervisor import connections
from vms.hypervisor.base import DomainEvent, DomainNotFound, EventKind, HostUnreachable, HypervisorError, Watch
from vms.models import Host, Operation, VirtualMachine

log = structlog.get_logger(__name__)

#: A host's events count as heard for this long after each sign of life of its thread.
HEARD_FOR = timedelta(seconds=3)
_SIGN_OF_LIFE_EVERY = 1.0
#: A full listing finds what no event tells of, a changed definition for example (`virsh setmem --config`). It is done
#: this often, and on a large host so seldom that it takes at most this part of the time.
_LIST_EVERY = timedelta(seconds=10)
_LISTING_SHARE = 0.05
_RECONNECT_AFTER = 1.0
#: A connection may take this long, in seconds: far hosts are slow to log in to, and nobody waits for this thread.
_CONNECT_LIMIT = 15.0
_LOOK_FOR_HOSTS_EVERY = 2.0


class HostWatcher(threading.Thread):
    """Watches one host until it is told to stop."""

    def __init__(self, host: Host) -> None:
        super().__init__(name=f"watch {host.name}", daemon=True)
        self.host = host
        self._events: queue.Queue[DomainEvent] = queue.Queue()
        self._lost = threading.Event()
        self._lost_reason = ""
        self.connected = False
        self._stop_asked = threading.Event()

    def stop(self) -> None:
        """Ask the thread to end; it does within a second or two, unless the host hangs in a call."""
        self._stop_asked.set()
        self._lost.set()

    def run(self) -> None:
        """Connect, listen, and start over when the connection is lost."""
        try:
            while not self._stop_asked.is_set():
                self._listen_once()
                connections.forget(self.host.uri)
                self._stop_asked.wait(_RECONNECT_AFTER)
        finally:
            connections.release(self.host.uri)
            # This thread's own; nobody else would close it.
            databases.close_all()

    def _listen_once(self) -> None:
        try:
            self._listen()
        except HypervisorError as error:
            self._tell_unreachable(str(error))
        except Exception:
            # A database that is away, say: the host is listed anew once it is back.
            log.exception("watching failed; starting over", host=self.host.name)
            close_old_connections()

    def _tell_unreachable(self, error: str) -> None:
        if self._stop_asked.is_set():
            # Nobody asks this thread any more; another may watch the host by now.
            return
        log.warning("host unreachable", host=self.host.name, error=error)
        try:
            sync.unreachable(self.host, error)
        except Exception:
            log.exception("could not write down that a host is away", host=self.host.name)

    def _listen(self) -> None:
        hypervisor = connections.get(self.host.uri, _CONNECT_LIMIT)
        self._lost.clear()
        self._events = queue.Queue()
        # Listen first, list then: what happens in between is heard.
        watch: Watch = hypervisor.watch(self._events.put, self._on_lost)
        try:
            sync.connected(self.host, hypervisor.info())
            self.connected = True
            listed_at = timezone.now()
            self._list(anew=True)
            # From now on, a domain that was not known is news.
            self.host.refresh_from_db()
            list_at = self._next_listing(listed_at)
            while not self._stop_asked.is_set() and not self._lost.is_set():
                self._show_life()
                self._take_events()
                if timezone.now() >= list_at:
                    began_at = timezone.now()
                    self._list()
                    list_at = self._next_listing(began_at)
            if self._lost.is_set():
                self._tell_unreachable(self._lost_reason)
        finally:
            watch.close()

    @staticmethod
    def _next_listing(began_at: datetime) -> datetime:
        now = timezone.now()
        return now + max(_LIST_EVERY, (now - began_at) / _LISTING_SHARE)

    def _on_lost(self, reason: str) -> None:
        log.warning("connection lost", host=self.host.name, reason=reason)
        self._lost_reason = reason
        self._lost.set()

    def _list(self, *, anew: bool = False) -> None:
        at = timezone.now()
        for vm_id in sync.listing(self.host, connections.get(self.host.uri).domains(), at, anew=anew):
            self._wake(vm_id, queues.DUE)

    def _show_life(self) -> None:
        close_old_connections()
        Host.objects.filter(pk=self.host.pk).update(watched_until=timezone.now() + HEARD_FOR)

    def _take_events(self) -> None:
        """Handle events for as long as a sign of life lasts."""
        until = timezone.now() + timedelta(seconds=_SIGN_OF_LIFE_EVERY)
        while not self._lost.is_set() and (left := (until - timezone.now()).total_seconds()) > 0:
            try:
                first = self._events.get(timeout=left)
            except queue.Empty:
                return
            known = [self._handle(event) for event in (first, *self._waiting())]
            if not all(known):
                # One list for all that are new: somebody may be defining domains by the thousand.
                self._list()

    def _waiting(self) -> Iterator[DomainEvent]:
        while True:
            try:
                yield self._events.get_nowait()
            except queue.Empty:
                return

    def _handle(self, event: DomainEvent) -> bool:
        """Do what an event is about; False when it is about a domain that is not known yet."""
        vm = VirtualMachine.objects.filter(host=self.host, uuid=UUID(event.uuid)).first()
        if vm is None:
            return event.kind is EventKind.UNDEFINED
        operation = Operation.objects.filter(vm=vm).in_flight().only("correlation_id", "inside", "stage").first()
        self._write_down(vm, event, operation)
        if operation is not None:
            names = {"operation": str(operation.pk), "correlation_id": operation.correlation_id}
            log.info("heard of a VM in an operation", told=str(event.kind), vm=str(vm.pk), **names)
        if event.kind is EventKind.FINAL_RESET:
            # Its process is still ending: STOPPED follows when there is something to see.
            return True
        if lease.ask_holder_to_look_again(vm.pk):
            # Most of what is heard of a VM is what its worker is doing to it just now.
            return True
        if operation is not None:
            # Its operation is what waits for this, and the worker's look is as good as one from here.
            self._wake(vm.pk)
            return True
        self._look(vm, event)
        return True

    def _write_down(self, vm: VirtualMachine, event: DomainEvent, operation: Operation | None) -> None:
        """Write down what no look would show."""
        match event.kind:
            case EventKind.STARTED if operation is not None and operation.stage == Stage.STARTING:
                hearing.started(vm.pk, event.at)
            case EventKind.FINAL_RESET:
                hearing.reset_ended_run(vm.pk, event.at)
            case EventKind.RESET if operation is not None and operation.inside:
                journal.guest_reset(vm, event.at)
            case EventKind.RESET:
                sync.guest_reset(vm.pk, event.at)

    def _look(self, vm: VirtualMachine, event: DomainEvent) -> None:
        at = timezone.now()
        try:
            domain = connections.get(self.host.uri).observe(event.uuid)
        except DomainNotFound:
            sync.gone(vm.pk)
        except HostUnreachable:
            raise
        except HypervisorError as error:
            # One domain that cannot be looked at says nothing of its host.
            log.warning("domain cannot be looked at", vm=str(vm.pk), error=str(error))
        else:
            sync.apply(vm, domain, at)
            if guest_restart.untended(vm) or Operation.objects.filter(vm=vm).in_flight().exists():
                self._wake(vm.pk)

    def _wake(self, vm_id: UUID, queue: str = queues.NOW) -> None:
        if not tasks.wake(vm_id, queue):
            sweep.wake_soon(vm_id)


class Watcher:
    """Watches every host in the database, and picks up hosts that come and go."""

    def __init__(self) -> None:
        self._watchers: dict[int, HostWatcher] = {}
        self._stop_asked = threading.Event()

    def stop(self) -> None:
        """Ask `run` to return."""
        self._stop_asked.set()

    def run(self) -> None:
        """Watch until told to stop."""
        try:
            while not self._stop_asked.is_set():
                try:
                    self._follow(list(Host.objects.managed()))
                except Exception:
                    log.exception("could not read the hosts; trying again")
                close_old_connections()
                self._stop_asked.wait(_LOOK_FOR_HOSTS_EVERY)
            self._follow([])
        finally:
            databases.close_all()

    def _follow(self, hosts: list[Host]) -> None:
        wanted = {host.pk: host for host in hosts}
        for pk, watcher in list(self._watchers.items()):
            host = wanted.get(pk)
            # A host that is new again was removed and added, or changed and changed back, between two looks.
            begun_anew = host is not None and host.state == Host.State.NEW and watcher.connected
            if host is None or host.uri != watcher.host.uri or begun_anew or not watcher.is_alive():
                watcher.stop()
                del self._watchers[pk]
            else:
                watcher.host.name = host.name
        for pk, host in wanted.items():
            if pk not in self._watchers:
                self._watchers[pk] = HostWatcher(host)
                self._watchers[pk].start()
