"""The invariants, checked against the host's own log: what was asked of it, and what became of its domains.

The portal's journal is believed in nothing that the host's log can tell.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import UUID

from django.utils import timezone

from tests.faults.plain_sql import OPERATION, VM, rows_of
from vms.domain.observation import DomainState, DownReason, Job, Observation, status_at_rest, status_while
from vms.domain.operation import SUCCESSES, Outcome, Stage, StepKind
from vms.domain.power import RUNNING_ACTIONS, Action, VmStatus
from vms.hypervisor.fake import LogEntry
from vms.models import Event, Operation, OperationStep, VirtualMachine

#: An operation may end so much later than its hard deadline, or than the last fault.
LATEST = timedelta(seconds=10)
#: Calls that change what a VM does, and that exactly one operation has to account for.
_WEIGHTY = ("start", "destroy", "save", "resume", "discard_memory", "undefine")
#: Statuses that an operation puts a VM in, and takes it out of.
_OF_OPERATIONS = {status_while(action) for action in Action} - {VmStatus.SAVING_STATE}
#: Statuses a VM may show instead, whatever runs on it.
_BEYOND = (VmStatus.NOT_RESPONDING, VmStatus.UNKNOWN, VmStatus.GONE)


class Violation(AssertionError):
    """An invariant does not hold.

    Attributes:
        doubled: Something was done twice, or without anybody who asked for it.
    """

    def __init__(self, told: str, *, doubled: bool = False) -> None:
        super().__init__(told)
        self.doubled = doubled


@dataclass(frozen=True, slots=True)
class _Change:
    """A domain's run beginning or ending."""

    at: float
    runs: bool
    reason: str


class Oracle:
    """Checks the invariants as a scenario goes on: of each line of the log once, and of each operation when it ends.

    Args:
        grain: How far the host's times may be off.
        on_violation: Told of each violation by a single call or operation; by default it is raised.
    """

    def __init__(
        self, grain: timedelta = timedelta(milliseconds=1), on_violation: Callable[[Violation], None] | None = None
    ) -> None:
        self._grain = grain
        self._on_violation = on_violation
        self._checked: set[UUID] = set()
        self._changes: dict[str, list[_Change]] = {}
        self._log: list[LogEntry] = []

    @property
    def last_line(self) -> int:
        """Number of the last line of the log that was checked."""
        return self._log[-1].seq if self._log else 0

    def check(self, lines: Sequence[LogEntry]) -> None:
        """Check what is new.

        Args:
            lines: The host's log after `last_line`.

        Raises:
            Violation: With what is wrong, in words.
        """
        for line in lines:
            self._log.append(line)
            if line.name in ("came_up", "went_down"):
                change = _Change(line.at, line.name == "came_up", line.detail)
                self._changes.setdefault(line.uuid, []).append(change)
            if line.call and line.effect and line.name in _WEIGHTY:
                self._judge(partial(self._check_call, line))
        self._check_active()
        ended = {UUID(str(pk)) for (pk,) in rows_of(f"SELECT id FROM {OPERATION} WHERE stage = %s", Stage.ENDED)}
        new = ended - self._checked
        if not new:
            return
        for operation in Operation.objects.filter(pk__in=new).select_related("vm").prefetch_related("steps"):
            self._checked.add(operation.pk)
            self._judge(partial(self._check_ended, operation))

    def _judge(self, check: Callable[[], None]) -> None:
        try:
            check()
        except Violation as violation:
            if self._on_violation is None:
                raise
            self._on_violation(violation)

    # Calls.

    def _check_call(self, line: LogEntry) -> None:
        at = datetime.fromtimestamp(line.at, UTC)
        steps = OperationStep.objects.filter(
            operation__vm__uuid=line.uuid,
            kind=line.name,
            at__lte=at + self._grain,
            operation__created_at__lte=at + self._grain,
        ).select_related("operation")
        active = [step.operation for step in steps if step.operation.ended_at is None or step.operation.ended_at >= at]
        if not active:
            # A call of an operation that was overtaken may still be under way, while its successor waits for it.
            overtaken = [step.operation for step in steps if step.operation.outcome == Outcome.SUPERSEDED]
            if not any(self._succeeded_by(operation, at) for operation in overtaken):
                vm = VirtualMachine.objects.get(uuid=line.uuid)
                raise Violation(f"no operation accounts for {line}: {self._told_of(vm)}", doubled=True)
            return
        operation = active[-1]
        if line.name == "start" and Action(operation.action) not in RUNNING_ACTIONS:
            raise Violation(f"{operation.action} started the VM: {line}", doubled=True)
        if line.name == "destroy":
            self._check_destroy(operation, line, at)
        if line.name == "start":
            self._check_start(operation, line)
        if line.name == "save":
            self._check_save(operation, line, at)

    @staticmethod
    def _succeeded_by(operation: Operation, at: datetime) -> bool:
        follower = operation.superseded_by
        while follower is not None and follower.ended_at is not None and follower.ended_at < at:
            follower = follower.superseded_by
        return follower is not None

    def _check_destroy(self, operation: Operation, line: LogEntry, at: datetime) -> None:
        if operation.policy is not None:
            if not operation.force:
                raise Violation(f"powered off without force: {self._told_of(operation.vm)}")
            early = operation.deadline_at is not None and at < operation.deadline_at - self._grain
            if early and self._was_asked(operation):
                raise Violation(f"powered off before the end of the delay: {self._told_of(operation.vm)}")
        others = [other for other in self._made_for(operation, line) if other.effect]
        if len(others) > 1 and operation.run_token:
            raise Violation(f"one operation powered off twice: {others}", doubled=True)

    @staticmethod
    def _was_asked(operation: Operation) -> bool:
        """Say whether there was anybody to ask: without agent and power button nobody waits."""
        steps = list(operation.steps.all())
        return any(
            step.kind == StepKind.PRESS_BUTTON or (step.kind == StepKind.ASK_AGENT and step.ok) for step in steps
        )

    def _check_start(self, operation: Operation, line: LogEntry) -> None:
        """A second start is one only if what the first one began was ended by somebody else."""
        starts = [other.seq for other in self._made_for(operation, line) if other.effect]
        if len(starts) < 2:
            return
        between = [
            other
            for other in self._log
            if other.uuid == line.uuid
            and starts[-2] < other.seq < starts[-1]
            and other.name == "went_down"
            and (other.by != "driver" or other.detail == DownReason.SAVED)
        ]
        if not between:
            raise Violation(f"one operation started the VM twice: {line}: {self._told_of(operation.vm)}", doubled=True)

    def _check_save(self, operation: Operation, line: LogEntry, at: datetime) -> None:
        """What runs after a save that was taken may be what somebody has restored: only a lost one is sent again."""
        if operation.steps.filter(kind=StepKind.SAVE, ok=True, answered_at__lt=at - self._grain).exists():
            raise Violation(f"one operation saved the VM twice: {line}: {self._told_of(operation.vm)}", doubled=True)

    def _made_for(self, operation: Operation, line: LogEntry) -> list[LogEntry]:
        """Return the calls like this one that were made for an operation.

        Where the host's times are coarse, the last call of one that it has overtaken seems to come after its request.
        A call is written down before it is made: it belongs to whom that was written for last.
        """
        steps = OperationStep.objects.filter(operation__vm__uuid=line.uuid, kind=line.name).order_by("at")
        written = list(steps.values_list("at", "operation_id"))

        def owner(call: LogEntry) -> UUID | None:
            at = datetime.fromtimestamp(call.at, UTC) + self._grain / 2
            return next((pk for written_at, pk in reversed(written) if written_at <= at), None)

        calls = self._of(line.uuid, line.name, operation.created_at)
        return [call for call in calls if owner(call) in (operation.pk, None)]

    def _of(self, uuid: str, name: str, since: datetime) -> list[LogEntry]:
        begin = since.timestamp() - self._grain.total_seconds()
        return [
            line for line in self._log if line.uuid == uuid and line.name == name and line.call and line.at >= begin
        ]

    # Operations.

    @staticmethod
    def _check_active() -> None:
        """An operation that is active shows in its VM's status, and nothing else does."""
        rows = rows_of(
            f"SELECT vm.id, vm.status, op.action, op.stage FROM {VM} vm"
            f" LEFT JOIN {OPERATION} op ON op.vm_id = vm.id AND op.stage <> %s",
            Stage.ENDED,
        )
        for vm_id, status, asked, stage in rows:
            if asked is None:
                if status in _OF_OPERATIONS:
                    raise Violation(f"VM {vm_id} is {status}, and nothing runs on it")
                continue
            action = Action(asked)
            allowed = {status_while(action, started=stage == Stage.COMING_UP), *_BEYOND}
            if action is Action.RUN:
                allowed.add(VmStatus.RESTORING_STATE)
            if status not in allowed:
                raise Violation(f"VM {vm_id} is {status} while {action} is {stage}")

    def _check_ended(self, operation: Operation) -> None:
        events = list(Event.objects.filter(operation=operation).order_by("id"))
        if not events:
            raise Violation(f"{operation} has no event")
        outcome = Outcome(operation.outcome)
        if outcome is not Outcome.SUPERSEDED and len(events) < 2:
            raise Violation(f"{operation} ended {outcome} without an event of its own")
        # Not always the last: that the guest had restarted itself may be heard after the end.
        told = any(event.severity == Event.Severity.ERROR for event in events)
        if outcome is Outcome.FAILED and not (operation.failure and told):
            raise Violation(f"{operation} failed, and no event says why")
        if outcome is Outcome.GAVE_UP and self._surely_down(operation):
            raise Violation(f"{operation} gave up, and the VM is down: {self._told_of(operation.vm)}")
        if outcome in SUCCESSES:
            for wrong in self._untrue(operation):
                raise Violation(f"{operation} ended {outcome}, but {wrong}: {self._told_of(operation.vm)}")

    def _untrue(self, operation: Operation) -> Iterator[str]:
        """Say what of a success is not true."""
        assert operation.ended_at is not None
        began, ended = operation.created_at.timestamp(), operation.ended_at.timestamp()
        action, uuid = Action(operation.action), str(operation.vm.uuid)
        states = self._states_at_its_end(operation)
        # One that gave way to another says what it had achieved until then, not what is so now.
        gave_way = operation.superseded_by_id is not None
        if action in RUNNING_ACTIONS and True not in states and not gave_way:
            yield "the VM does not run"
        if action not in RUNNING_ACTIONS and False not in states:
            yield "the VM runs"
        during = [
            change
            for change in self._changes.get(uuid, [])
            if began <= change.at + self._grain.total_seconds() and change.at <= ended
        ]
        if operation.outcome == Outcome.GUEST_REBOOTED:
            if not any(began <= line.at <= ended for line in self._log if line.uuid == uuid and line.name == "reset"):
                yield "the guest did not restart itself"
        elif action in (Action.REBOOT, Action.POWER_CYCLE) and not any(change.runs for change in during):
            # That it went down may have been just before: then nobody had seen it yet.
            yield "the VM was not started again"
        destroyed = any(line.effect for line in self._of(uuid, "destroy", operation.created_at) if line.at <= ended)
        if operation.outcome in (Outcome.CLEAN_AGENT, Outcome.CLEAN_ACPI) and destroyed:
            yield "the VM was powered off"
        if operation.outcome == Outcome.FORCED and not self._powered_off(operation):
            yield "nobody powered the VM off"

    def _powered_off(self, operation: Operation) -> bool:
        """Say whether an operation made the call that powers a VM off, or one did whose work it took over."""
        if operation.steps.filter(kind=StepKind.DESTROY).exists():
            return True
        return any(self._powered_off(overtaken) for overtaken in Operation.objects.filter(superseded_by=operation))

    def _surely_down(self, operation: Operation) -> bool:
        return True not in self._states_at_its_end(operation)

    def _states_at_its_end(self, operation: Operation) -> set[bool]:
        """Return whether the VM ran while it was looked at for the last time: both, when that changed just then.

        A look takes time: a host may answer only once a run that is just ending has ended.
        """
        assert operation.ended_at is not None
        began = operation.looked_at or operation.ended_at
        since, until = (moment.timestamp() for moment in (began - self._grain, operation.ended_at + self._grain))
        states = {False}
        for change in self._changes.get(str(operation.vm.uuid), []):
            if change.at < since:
                states = {change.runs}
            elif change.at <= until:
                states.add(change.runs)
        return states

    def _told(self, operation: Operation) -> str:
        """Tell all that the journal and the host know of an operation and its VM."""
        lines = [f"{_time(operation.created_at)} {operation.action} accepted, force {operation.force}"]
        lines += [
            f"{_time(step.at)} {step.kind}, answered {_time(step.answered_at)}, ok {step.ok}"
            for step in operation.steps.all()
        ]
        lines.append(f"{_time(operation.ended_at)} ended {operation.outcome} {operation.failure}")
        return "\n".join(["", *lines])

    def log_of(self, uuid: str) -> str:
        """Tell what the host knows of a VM."""
        return "\n".join(
            f"{_time(datetime.fromtimestamp(line.at, UTC))} host: {line.name} by {line.by}, "
            f"effect {bool(line.effect)}, run {line.run} {line.detail}"
            for line in self._log
            if line.uuid == uuid
        )

    def check_rest(self, vm: VirtualMachine, inside: dict[str, object] | None) -> None:
        """Check a VM that nothing runs on any more, and that was looked at since.

        Args:
            inside: Everything about the domain; None when it is not defined any more.
        """
        if vm.lease_until is not None and vm.lease_until > timezone.now():
            raise Violation(f"{vm} is still leased to {vm.lease_owner}")
        expected = VmStatus.GONE
        if inside is not None:
            expected = status_at_rest(_seen(inside), vm.running_since, timezone.now())
        if vm.status != expected:
            raise Violation(f"{vm} is shown {vm.status}, and is {expected}: {self._told_of(vm)}")
        run = inside["run"] if inside is not None else None
        # One whose policy says so is armed for as long as changes of its configuration wait.
        armed = isinstance(run, dict) and inside is not None and run["on_reboot"] != inside["on_reboot"]
        if armed and not vm.armed:
            raise Violation(f"an intent outlived its operation, a reset would end the run: {self._told_of(vm)}")

    def check_deadline(self, operation: Operation, faulty_until: datetime) -> None:
        """Check that an operation ended in time."""
        latest = max(operation.hard_deadline_at, faulty_until) + LATEST
        if operation.active or operation.ended_at is None:
            raise Violation(f"still active: {self._told_of(operation.vm)}")
        if operation.ended_at > latest:
            raise Violation(f"ended {operation.ended_at - latest} too late: {self._told_of(operation.vm)}")

    def _told_of(self, vm: VirtualMachine) -> str:
        """Tell all that is known of a VM."""
        told = [self._told(operation) for operation in vm.operations.order_by("created_at")]
        return "\n".join([*told, self.log_of(str(vm.uuid))])


def _time(at: datetime | None) -> str:
    return f"{at:%H:%M:%S.%f}"[:-3] if at is not None else "never"


def _seen(inside: dict[str, object]) -> Observation:
    run = inside["run"]
    if not isinstance(run, dict):
        return Observation(DomainState.DOWN, managed_save=bool(inside["managed_save"]))
    temper = inside["temper"]
    return Observation(
        DomainState(run["state"]),
        agent_channel=isinstance(temper, dict) and temper["agent"] != "none",
        agent_connected=bool(run["agent_connected"]),
        job=Job.SAVING if run["saved_at"] is not None else Job.NONE,
    )
