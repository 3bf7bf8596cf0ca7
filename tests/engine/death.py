"""Work done in a process of its own, which kills itself with SIGKILL at a chosen point.

The points are the changes that outlive the process: every commit that wrote something to the database, and every call
to a host that had its effect. A process killed just before such a change leaves what one leaves that is killed just
after the change before it, so these points are all there are, together with the very beginning.
"""

from __future__ import annotations

import os
import signal
import time
import traceback
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any
from unittest import mock
from uuid import UUID

from django.db import connection
from django.db import connections as databases
from django.utils import timezone

from vms import tasks
from vms.engine import advance as engine
from vms.hypervisor import connections
from vms.hypervisor.base import Hypervisor
from vms.models import Operation

_WRITES = ("INSERT", "UPDATE", "DELETE")
_CALLS = (
    "prepare", "relent", "ask_agent", "press_button", "destroy", "start", "save", "resume", "discard_memory",
    "undefine", "remove_disk", "define",
)  # fmt: skip


class _Points:
    """Counts changes that last, and ends the process at the chosen one."""

    def __init__(self, die_at: int) -> None:
        self._left = die_at
        self._written = False

    def reached(self) -> None:
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def execute(self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: dict[str, Any]) -> Any:
        result = execute(sql, params, many, context)
        if sql.startswith(_WRITES) and context["cursor"].rowcount:
            if connection.in_atomic_block:
                self._written = True
            else:
                self.reached()
        return result

    @contextmanager
    def counted(self) -> Iterator[None]:
        commit = connection._commit  # type: ignore[attr-defined]

        def counted_commit() -> None:
            commit()
            if self._written:
                self._written = False
                self.reached()

        get = connections.get
        with (
            connection.execute_wrapper(self.execute),
            mock.patch.object(connection, "_commit", counted_commit),
            mock.patch.object(connections, "get", lambda uri: _CountedHost(get(uri), self)),
        ):
            yield


class _CountedHost:
    """A connection to a host whose effects are points to die at."""

    def __init__(self, host: Hypervisor, points: _Points) -> None:
        self._host, self._points = host, points

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._host, name)
        if name not in _CALLS:
            return method

        def call(*args: Any, **kwargs: Any) -> Any:
            result = method(*args, **kwargs)
            self._points.reached()
            return result

        return call


def work_until_killed(die_at: Mapping[UUID, int]) -> list[UUID]:
    """Carry the operations of VMs on, each in a process that kills itself at its chosen lasting change.

    Args:
        die_at: For each VM the number of that change, from 1; the processes run at the same time.

    Returns:
        The VMs whose process was killed; the others have ended their operation without getting that far.
    """
    groups = [([vm_id], point) for vm_id, point in die_at.items()]
    killed = work_together_until_killed(groups)
    return [vm_ids[0] for (vm_ids, _), was_killed in zip(groups, killed, strict=True) if was_killed]


def work_together_until_killed(groups: Iterable[tuple[Sequence[UUID], int]]) -> list[bool]:
    """Carry the operations of groups of VMs on, each group in a process that kills itself at its chosen lasting change.

    Args:
        groups: The VMs of each, and the number of that change, from 1; the processes run at the same time.

    Returns:
        For each group whether its process was killed; the others have ended all their operations before.
    """
    connections.close_all()
    databases.close_all()
    children = [_fork(partial(_work_and_die, vm_ids, point)) for vm_ids, point in groups]
    return [_was_killed(pid) for pid in children]


@contextmanager
def forked(work: Callable[[], Any]) -> Iterator[int]:
    """Do something in a process of its own, whose id this yields; at the end wait for it, killed or not."""
    connections.close_all()
    databases.close_all()
    pid = _fork(work)
    try:
        yield pid
    except BaseException:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        raise
    _was_killed(pid)


def _fork(work: Callable[[], Any]) -> int:
    with warnings.catch_warnings():
        # From Python 3.12 on: this process has threads. The child uses nothing of theirs.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        except Exception:  # noqa: BLE001 - told, and then known by the exit code
            traceback.print_exc()
        finally:
            os._exit(code)
    return child


def _work_and_die(vm_ids: Sequence[UUID], die_at: int) -> None:
    with _Points(die_at).counted():
        _work(vm_ids)


def _was_killed(pid: int) -> bool:
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.WEXITSTATUS(status) == 0, "the process failed before it was to be killed"
    return False


def _work(vm_ids: Sequence[UUID], limit: float = 30.0) -> None:
    """Look at VMs whenever their operation is due or they are woken, until all of them have ended."""
    give_up_at = time.monotonic() + limit
    woken = deque(vm_ids)

    def wake(vm_id: UUID, **_: object) -> bool:
        woken.append(vm_id)
        return True

    unfinished = Operation.objects.filter(vm__in=vm_ids).active()
    with mock.patch.object(tasks, "wake", wake):
        while woken or unfinished.exists():
            if time.monotonic() > give_up_at:
                raise TimeoutError(f"the operations of {vm_ids} have not ended")
            woken.extend(unfinished.filter(wake_at__lte=timezone.now()).values_list("vm_id", flat=True))
            if woken:
                engine.advance(woken.popleft())
            else:
                time.sleep(0.01)
