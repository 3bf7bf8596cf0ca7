"""The engine on a fake host, with a loop in place of Celery, beat and watcher."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any
from unittest import mock
from uuid import UUID

from django.contrib.auth.models import User
from django.db import connections as databases
from django.utils import timezone

from tests.support.fake import FakeDaemon
from tests.support.waiting import wait_until
from vms import queues, tasks
from vms.domain.observation import DomainState
from vms.engine import journal, sweep, sync
from vms.engine.advance import advance
from vms.hypervisor import connections
from vms.hypervisor.base import DomainEvent, EventKind
from vms.hypervisor.fake import Temper
from vms.models import Event, Host, Operation, VirtualMachine

#: The calls that do something, among those a host is asked.
ACTING = (
    "ask_agent",
    "press_button",
    "destroy",
    "start",
    "save",
    "resume",
    "discard_memory",
    "undefine",
    "remove_disk",
)


class Engine:
    """Stands in for the processes around the engine: what they would call, it calls, in this thread.

    Attributes:
        fake: The host's daemon.
        admin: Somebody who may do everything.
        wakes: What the broker would hold: VMs that are to be looked at.
        look: What a worker does with a wake.
        hears: Whether anybody hears the host's events.
    """

    def __init__(self, fake: FakeDaemon, host: Host, admin: User) -> None:
        self.fake = fake
        self.host = host
        self.admin = admin
        self.wakes: queue.Queue[UUID] = queue.Queue()
        self.look: Callable[[UUID], Any] = advance
        self.hears = True
        self._heard: queue.Queue[DomainEvent] = queue.Queue()

    def hear(self, event: DomainEvent) -> None:
        """Take an event as the watcher would."""
        if self.hears:
            self._heard.put(event)

    def wake(self, vm_id: UUID, queue: str = queues.NOW, *, since: datetime | None = None) -> bool:
        """Take a wake as the broker would."""
        self.wakes.put(vm_id)
        return True

    def define(self, name: str = "web01", temper: Temper | None = None, **fields: Any) -> VirtualMachine:
        """Define a VM on the host, and let the portal find it."""
        uuid = self.fake.control.define(name, temper, **fields)
        self.list_domains()
        return VirtualMachine.objects.get(uuid=uuid)

    def define_all(self, tempers: Iterable[Temper]) -> Sequence[VirtualMachine]:
        """Define a VM of each temper, found all at once."""
        uuids = [self.fake.control.define(f"vm{number}", temper) for number, temper in enumerate(tempers)]
        self.list_domains()
        found = {str(vm.uuid): vm for vm in VirtualMachine.objects.filter(uuid__in=uuids)}
        return [found[uuid] for uuid in uuids]

    def undefine(self, vm: VirtualMachine) -> None:
        """Remove a VM from its host."""
        self.fake.control.hand(str(vm.uuid), "destroy")
        self.fake.control.hand(str(vm.uuid), "undefine")

    def list_domains(self) -> None:
        """Do what the watcher does when it connects."""
        at = timezone.now()
        for vm_id in sync.listing(self.host, connections.get(self.host.uri).domains(), at, anew=True):
            self.wake(vm_id)

    def run(self, until: Callable[[], object], what: str, timeout: float = 30) -> None:
        """Work until `until` is true."""

        def worked_enough() -> object:
            self._turn()
            return until()

        wait_until(worked_enough, what, timeout)

    def collect(self) -> None:
        """Do what watcher and beat do: turn what was heard, and what is due, into wakes."""
        while not self._heard.empty():
            event = self._heard.get()
            vm = VirtualMachine.objects.filter(host=self.host, uuid=event.uuid).first()
            if vm is None:
                continue
            if event.kind is EventKind.RESET:
                journal.guest_reset(vm, event.at)
            self.wake(vm.pk)
        for vm_id in sweep.due():
            self.wake(vm_id)

    def _turn(self) -> None:
        self.collect()
        while not self.wakes.empty():
            self.look(self.wakes.get())

    def finish(self, operation: Operation, timeout: float = 30) -> Operation:
        """Work until an operation has ended, and return it as it is then."""

        def ended() -> bool:
            operation.refresh_from_db()
            return not operation.active

        self.run(ended, f"{operation} has ended", timeout)
        return operation

    def finish_all(self, operations: Iterable[Operation], timeout: float = 60) -> None:
        """Work until all of these have ended."""
        waiting = [operation.pk for operation in operations]

        def ended() -> bool:
            return not Operation.objects.filter(pk__in=waiting).exclude(stage="ended").exists()

        self.run(ended, "all operations have ended", timeout)

    def drain(self) -> None:
        """Do all that is to be done now, and return."""
        self._turn()

    def status(self, vm: VirtualMachine) -> str:
        """Return what a VM shows now."""
        vm.refresh_from_db()
        return vm.status

    def runs(self, vm: VirtualMachine) -> bool:
        """Say whether a VM runs, by the host's own word."""
        run = self.fake.control.inside(str(vm.uuid))["run"]
        return run is not None and run["state"] != DomainState.DOWN

    def calls(self, vm: VirtualMachine, *, effect: bool | None = None) -> list[str]:
        """Return what the host was asked to do to a VM, by the host's own log."""
        log = self.fake.control.log(str(vm.uuid), names=ACTING, call=True, effect=effect)
        return [entry.name for entry in log]

    def codes(self, vm: VirtualMachine) -> list[int]:
        """Return the codes of a VM's events, oldest first."""
        return list(Event.objects.filter(vm=vm).order_by("id").values_list("code", flat=True))


@contextmanager
def engine_on(fake: FakeDaemon) -> Iterator[Engine]:
    """Make an engine that works for a fake host, and hears its events."""
    admin = User.objects.create_superuser("admin", password="x")
    engine = Engine(fake, Host.objects.create(name="fake", uri=fake.uri), admin)
    listener = fake.connect()
    watch = listener.watch(engine.hear, lambda reason: None)
    try:
        with mock.patch.object(tasks, "wake", engine.wake):
            yield engine
    finally:
        watch.close()
        listener.close()


def at_once(work: Iterable[Callable[[], Any]], timeout: float = 60) -> list[Any]:
    """Call functions at the same moment, a thread each, and return what they returned or raised, in their order."""
    todo = list(work)
    results: list[Any] = [None] * len(todo)
    ready = threading.Barrier(len(todo))

    def call(number: int, function: Callable[[], Any]) -> None:
        try:
            ready.wait(timeout)
            results[number] = function()
        except Exception as error:  # noqa: BLE001  (whatever comes of it is the result)
            results[number] = error
        finally:
            databases.close_all()

    threads = [threading.Thread(target=call, args=each) for each in enumerate(todo)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout)
        assert not thread.is_alive(), "a thread did not return"
    return results
