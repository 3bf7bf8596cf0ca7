"""Processes that die, or are overtaken by others, at a chosen boundary; all within this one process and thread.

A boundary is the moment just before or just after something that outlives a process: a commit, a call to a host, a
message to the broker. A process that dies leaves behind what SIGKILL would: what was committed, and what others were
asked; its open transaction is rolled back, and none of its clean-up reaches the database.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

from django.db import connection

_WRITES = ("INSERT", "UPDATE", "DELETE")


class Death(BaseException):
    """The process was killed. Not an Exception: nothing that handles errors may survive it."""


@dataclass(frozen=True, slots=True)
class Boundary:
    """Where a process is.

    Attributes:
        what: `commit`, `wake`, or the name of the call to a host.
        done: It is behind the process; otherwise just ahead of it.
    """

    what: str
    done: bool

    def __str__(self) -> str:
        return f"{'after' if self.done else 'before'} {self.what}"


#: What happens at a boundary instead of simply going on; it may die there.
Interruption = Callable[[Boundary], None]


def die(boundary: Boundary) -> None:
    """Die here."""
    raise Death(str(boundary))


@dataclass
class _Life:
    """One process, from its first boundary to its last."""

    kind: str
    interruptions: Mapping[int, Interruption]
    passed: list[Boundary] = field(default_factory=list)
    #: What is to happen as soon as it is outside a transaction.
    waiting: list[Interruption] = field(default_factory=list)


@dataclass
class _Doom:
    """What befalls processes of one kind, all their boundaries counted together."""

    kind: str
    left: int
    happening: Interruption


class Processes:
    """Runs the work of processes, one inside another where one overtakes the other.

    Attributes:
        died: Whether the last process that ended did so by dying.
        writes: How often something was written to the database.
    """

    def __init__(self) -> None:
        self.died = False
        self.writes = 0
        self._doom: _Doom | None = None
        self._lives: list[_Life] = []
        self._dead = False
        self._written = False

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Watch the database for boundaries."""
        commit = connection._commit  # type: ignore[attr-defined]

        def watched_commit() -> None:
            if not self._written:
                commit()
                return
            self._written = False
            try:
                self.reached("commit", done=False)
            except Death:
                connection._rollback()  # type: ignore[attr-defined]
                raise
            commit()
            self.reached("commit", done=True)

        with connection.execute_wrapper(self._execute), mock.patch.object(connection, "_commit", watched_commit):
            yield

    def doom(self, kind: str, number: int, happening: Interruption) -> None:
        """Have something happen at one boundary of all those that processes of a kind will reach, by its number."""
        self._doom = _Doom(kind, number, happening)

    @property
    def spared(self) -> bool:
        """True when what was ordered by `doom` has not happened: there were not so many boundaries."""
        return self._doom is not None

    def live(
        self, kind: str, work: Callable[[], Any], interruptions: Mapping[int, Interruption] | None = None
    ) -> list[Boundary]:
        """Do the work of one process; what it raises, but for its death, is raised here.

        Args:
            kind: `web`, `worker`, `watcher` or `beat`.
            interruptions: What happens at its boundaries, by their number from 1.

        Returns:
            The boundaries it reached; the last one is where it died, if it did: see `died`.
        """
        life = _Life(kind, interruptions or {})
        self._lives.append(life)
        died = False
        try:
            work()
        except Death:
            died = True
            # What it wanted to do after a commit, it does not.
            connection.run_on_commit.clear()
        finally:
            self._lives.pop()
            self._dead = self._written = False
        if connection.in_atomic_block:
            raise AssertionError("a process left its transaction open")
        self.died = died
        return life.passed

    def reached(self, what: str, *, done: bool) -> None:
        """Pass a boundary, unless something happens there."""
        if not self._lives:
            return
        if self._dead:
            raise Death("dead already")
        life, boundary = self._lives[-1], Boundary(what, done)
        life.passed.append(boundary)
        happening = life.interruptions.get(len(life.passed)) or self._befalls(life.kind)
        if happening is not None:
            life.waiting.append(happening)
        # A transaction is not over before its commit has returned.
        inside = not connection.get_autocommit()
        while life.waiting:
            # Nobody else can write while this process is inside a transaction; it can only die there.
            if inside and life.waiting[0] is not die:
                return
            self._happen(life.waiting.pop(0), boundary)

    def _befalls(self, kind: str) -> Interruption | None:
        if self._doom is None or self._doom.kind != kind:
            return None
        self._doom.left -= 1
        if self._doom.left:
            return None
        happening, self._doom = self._doom.happening, None
        return happening

    def _happen(self, happening: Interruption, boundary: Boundary) -> None:
        try:
            happening(boundary)
        except Death:
            self._dead = True
            raise

    def _execute(self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: dict[str, Any]) -> Any:
        if self._dead:
            raise Death("dead already")
        if not sql.startswith(_WRITES):
            return execute(sql, params, many, context)
        self.writes += 1
        if connection.in_atomic_block:
            result = execute(sql, params, many, context)
            self._written = self._written or bool(context["cursor"].rowcount)
            return result
        self.reached("commit", done=False)
        result = execute(sql, params, many, context)
        if context["cursor"].rowcount:
            self.reached("commit", done=True)
        return result
