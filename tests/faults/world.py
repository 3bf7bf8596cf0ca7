"""The portal's processes around a simulated host, on a clock of their own: what each would do, it does when told to.

The broker is a list of wakes, which a scenario may lose, double, or deliver in any order; so are the host's events.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest import mock
from uuid import UUID

import time_machine
from django.apps import apps
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db import connection, transaction
from django.utils import timezone

from tests.faults.dying import Boundary, Interruption, Processes
from tests.faults.host import URI, SimulatedHost
from tests.faults.plain_sql import CHANGE, HOST, OPERATION, VM, value_of
from vms import actions, queues, tasks, watcher
from vms.domain.configuration import Part
from vms.domain.errors import ConfigurationError, PolicyError
from vms.domain.operation import Stage
from vms.domain.policy import Setting
from vms.domain.power import Action, VmStatus
from vms.domain.run_options import AS_STORED, RunOptions
from vms.engine import lease, sync
from vms.hypervisor import connections
from vms.hypervisor.base import DomainEvent, EventKind, HostUnreachable, HypervisorError
from vms.hypervisor.fake import FakeHypervisor, Temper
from vms.models import ConfigurationChange, Host, Operation, VirtualMachine

_EPOCH = datetime(2030, 1, 1, tzinfo=UTC)
#: What a process does takes some time, in seconds: no two things happen at the same moment.
_MOMENT = 0.004
#: How often beat sends a sweep.
_SWEEP_EVERY = timedelta(seconds=1)
Interruptions = Mapping[int, Interruption]


class World:
    """One portal and one host.

    Attributes:
        wakes: What the broker holds: VMs to be looked at, with the moment after which a look makes it needless.
        events: What the host has told, and the watcher has not taken yet.
        broker_away: Nothing can be enqueued.
        watching: The watcher listens to the host.
        faulty_until: After this moment nothing goes wrong any more, as things stand.
    """

    def __init__(self, admin: User, clock: time_machine.Traveller) -> None:
        self.admin = admin
        self._clock = clock
        self.processes = Processes()
        self.host = SimulatedHost(self._seconds, self.shift, self.processes)
        self.row = Host.objects.create(name="simulated", uri=URI)
        self._watcher = watcher.HostWatcher(self.row)
        self.wakes: list[tuple[UUID, datetime | None]] = []
        self.events: list[DomainEvent] = []
        self.broker_away = False
        self.watching = False
        self._swept_at = timezone.now() - _SWEEP_EVERY
        self.faulty_until = timezone.now()
        self._dead: set[str] = set()
        self.connection: FakeHypervisor

    # Time.

    @staticmethod
    def _seconds() -> float:
        return timezone.now().timestamp()

    def shift(self, seconds: float) -> None:
        """Let time pass on the host while nobody of the portal does anything."""
        until = timezone.now() + timedelta(seconds=seconds)
        while (due := self.host.next_due()) is not None and due <= until.timestamp():
            self._clock.move_to(max(timezone.now(), datetime.fromtimestamp(due, UTC)))
            self.host.happen()
        self._clock.move_to(until)

    def pass_time(self, seconds: float) -> None:
        """Let time pass while every process does its work."""
        until = timezone.now() + timedelta(seconds=seconds)
        self.work_off()
        while timezone.now() < until:
            self.shift((min(self._next_moment(), until) - timezone.now()).total_seconds())
            self.work_off()

    def _next_moment(self) -> datetime:
        """Return when something is to be done next; the sweep comes every second."""
        now = timezone.now()
        moments = [now + timedelta(seconds=60)]
        if (due := self.host.next_due()) is not None:
            moments.append(datetime.fromtimestamp(due, UTC))
        wake_at = value_of(f"SELECT MIN(wake_at) FROM {OPERATION} WHERE stage <> %s", Stage.ENDED)
        if wake_at is not None:
            moments.append(max(datetime.fromisoformat(str(wake_at)).replace(tzinfo=UTC), now + _SWEEP_EVERY))
        if not self.watching:
            moments.append(now + timedelta(seconds=2))
        return max(min(moments), now + timedelta(milliseconds=1))

    # Processes.

    def work_off(self) -> None:
        """Let watcher, beat and workers do all there is to do now."""
        self.watch()
        while self.events:
            self.hear(0)
        now = timezone.now()
        if now - self._swept_at >= _SWEEP_EVERY:
            self._swept_at = now
            if self.watching:
                with connection.cursor() as cursor:
                    cursor.execute(f"UPDATE {HOST} SET watched_until = %s", [now + watcher.HEARD_FOR])
            if self._anything_to_sweep():
                self.sweep()
        while self.wakes:
            self.look(0)

    @staticmethod
    def _anything_to_sweep() -> bool:
        """Say whether a sweep could find something. One that finds nothing leaves nothing, and there are many."""
        return bool(
            value_of(
                f"SELECT EXISTS (SELECT 1 FROM {OPERATION} WHERE stage <> %s)"
                f" OR EXISTS (SELECT 1 FROM {CHANGE} WHERE state = %s)"
                f" OR EXISTS (SELECT 1 FROM {VM} WHERE status = %s)",
                Stage.ENDED,
                ConfigurationChange.State.WAITING,
                VmStatus.POWERING_UP,
            )
        )

    def _live(self, kind: str, work: Callable[[], Any], interruptions: Interruptions | None) -> list[Boundary]:
        self.shift(_MOMENT)
        passed = self.processes.live(kind, work, interruptions)
        if self.processes.died:
            self.faulty_until = timezone.now()
        return passed

    def request(
        self,
        vm_id: UUID,
        action: Action,
        override: Setting | None = None,
        interruptions: Interruptions | None = None,
        options: RunOptions = AS_STORED,
    ) -> None:
        """Ask for an action, as a web request does; a refusal is an answer like any other."""

        def ask() -> None:
            vm = VirtualMachine.objects.select_related("host").get(pk=vm_id)
            with contextlib.suppress(actions.Refused, PolicyError):
                actions.request(self.admin, vm, action, override=override, options=options)

        self._live("web", ask, interruptions)

    def steer(
        self, vm_id: UUID, change: Callable[[User, Operation], None], interruptions: Interruptions | None = None
    ) -> None:
        """Force, extend or cancel what is running on a VM, as a web request does."""

        def press() -> None:
            operation = Operation.objects.active().filter(vm_id=vm_id).first()
            if operation is not None:
                with contextlib.suppress(actions.Refused, PermissionDenied):
                    change(self.admin, operation)

        self._live("web", press, interruptions)

    def configure(self, vm_id: UUID, values: Mapping[Part, Any], interruptions: Interruptions | None = None) -> None:
        """Change the stored configuration of a VM, as a web request does."""

        def change() -> None:
            vm = VirtualMachine.objects.select_related("host").get(pk=vm_id)
            with contextlib.suppress(actions.Refused, ConfigurationError):
                actions.configure(self.admin, vm, values)

        self._live("web", change, interruptions)

    def look(self, number: int, interruptions: Interruptions | None = None, *, known_dead: bool = True) -> None:
        """Let a worker take one of the wakes. One that dies gives it back.

        Args:
            known_dead: If it dies, others see that at once, as they do on the same machine.
        """
        vm_id, since = self.wakes.pop(number)
        self.look_at(vm_id, since, interruptions, known_dead=known_dead)

    def look_at(
        self,
        vm_id: UUID,
        since: datetime | None = None,
        interruptions: Interruptions | None = None,
        *,
        known_dead: bool = True,
    ) -> list[Boundary]:
        """Let a worker look at a VM."""
        mine: list[str] = []
        seen_since = since.isoformat() if since else None

        def name() -> str:
            mine.append(f"worker {len(self._dead)} {id(mine)}")
            return mine[-1]

        with mock.patch.object(lease, "_new_owner", name):
            passed = self._live("worker", lambda: tasks.advance.run(str(vm_id), seen_since), interruptions)
        if self.processes.died:
            self.wakes.append((vm_id, since))
            if known_dead:
                self._dead.update(mine)
            else:
                self.faulty_until = timezone.now() + lease.LEASE
        return passed

    def sweep(self, interruptions: Interruptions | None = None) -> None:
        """Let a worker sweep."""
        self._live("beat", tasks.sweep.run, interruptions)

    def watch(self, interruptions: Interruptions | None = None) -> None:
        """Let the watcher connect and list, if it has to."""
        if not self.watching:
            self._live("watcher", self._begin_to_watch, interruptions)

    def _begin_to_watch(self) -> None:
        self.row.refresh_from_db()
        try:
            connections.get(URI)
            self.watching = True
            sync.connected(self.row, self.connection.info())
            self._watcher._list()
        except HypervisorError as error:
            self.watching = False
            sync.unreachable(self.row, str(error))
        except BaseException:
            self.watching = False
            raise

    def hear(self, number: int, interruptions: Interruptions | None = None) -> None:
        """Let the watcher take one event, if it listens."""
        event = self.events.pop(number)
        if not self.watching:
            return

        def handle() -> None:
            try:
                if not self._watcher._handle(event):
                    self._watcher._list()
            except HypervisorError as error:
                self.kill_watcher()
                sync.unreachable(self.row, str(error))

        self._live("watcher", handle, interruptions)
        if self.processes.died:
            self.kill_watcher()

    def kill_watcher(self) -> None:
        """Let the watcher hear nothing any more; what it has not taken yet is lost."""
        self.watching = False
        self.events.clear()

    # The host.

    def lose_host(self) -> None:
        """Let the host be away."""
        self.host.away = True
        self.kill_watcher()

    def lose_broker(self) -> None:
        """Let the broker be away, and all that it held be lost."""
        self.broker_away = True
        self.wakes.clear()

    def restart_host(self) -> None:
        """Kill the host's daemon, and let it come back at once: who listened listens no more."""
        self.host.restart()
        self.kill_watcher()

    def define_all(self, tempers: Iterable[Temper]) -> list[UUID]:
        """Define a VM of each temper, let the portal find them, and return their ids."""
        uuids = [self.host.define(f"vm{number}", temper) for number, temper in enumerate(tempers)]
        self.work_off()
        return uuids

    def heal(self) -> None:
        """From now on, let nothing go wrong."""
        self.host.heal()
        self.broker_away = False
        self.faulty_until = max(self.faulty_until, timezone.now())

    # What stands in for the rest.

    def _emit(self, fields: dict[str, Any]) -> None:
        if self.watching:
            event = DomainEvent(fields["uuid"], EventKind(fields["kind"]), timezone.now(), fields["detail"])
            self.events.append(event)

    def _wake(self, vm_id: UUID, queue: str = queues.NOW, *, since: datetime | None = None) -> bool:
        self.processes.reached("wake", done=False)
        if self.broker_away:
            return False
        self.wakes.append((vm_id, since))
        self.processes.reached("wake", done=True)
        return True

    def _connect(self, uri: str) -> FakeHypervisor:
        if self.host.away:
            raise HostUnreachable("the host is away")
        return self.connection

    @contextmanager
    def inhabited(self) -> Iterator[None]:
        """Put this world in the place of the real one."""
        with contextlib.ExitStack() as stack:
            for patch in (
                mock.patch.object(tasks, "wake", self._wake),
                mock.patch.object(connections, "get", self._connect),
                mock.patch.object(connections, "forget"),
                mock.patch.object(lease, "_is_dead", lambda owner: owner in self._dead),
                mock.patch("vms.hypervisor.fake.driver.Channel", self.host.connect),
            ):
                stack.enter_context(patch)
            self.connection = FakeHypervisor(URI)
            self.host.emit = self._emit
            stack.enter_context(self.processes.watched())
            yield


@contextmanager
def new_world() -> Iterator[World]:
    """Make a world whose clock stands still but for what moves it, in an empty database."""
    # In one transaction, at the end of which foreign keys are looked at.
    with transaction.atomic(), connection.cursor() as cursor:
        for model in apps.get_app_config("vms").get_models(include_auto_created=True):
            cursor.execute(f"DELETE FROM {model._meta.db_table}")
    admin = User.objects.filter(username="admin").first() or User.objects.create_superuser("admin", password="x")
    with time_machine.travel(_EPOCH, tick=False) as clock:
        world = World(admin, clock)
        with world.inhabited():
            yield world
