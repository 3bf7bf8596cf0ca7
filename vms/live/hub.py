"""One for each web process: hears of changes by a single subscription, and hands each viewer what they may see of them.

Parts of pages are rendered once, however many look at them. Nobody is waited for: of what a viewer has not taken yet
the newest of each part is kept, and too many of these become one request to read the page again.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar
from uuid import UUID

import structlog
from django.conf import settings
from django.db import connections
from django.template.loader import render_to_string
from django.utils import translation
from redis.asyncio import Redis
from redis.exceptions import RedisError

from vms import queries
from vms.engine.changes import OPERATIONS
from vms.live.publishing import CHANNEL
from vms.live.viewers import Viewer

log = structlog.get_logger(__name__)

T = TypeVar("T")

#: Everything on the page may have changed: read it again.
ALL = "*"
#: Parts that one viewer has not taken yet; more than a page holds are a sign that it is better to read it again.
_MOST = 100
#: Seconds over which changes are gathered before rows are rendered.
_GATHER = 0.1
#: Seconds until Redis is tried again.
_TRY_AGAIN_AFTER = 1.0
#: Seconds within which Redis has to say something.
_HEARTBEAT = 10.0
#: Threads that ask the database, for all viewers together.
_THREADS = 4


@dataclass(slots=True)
class Frame:
    """What one viewer is told in one go.

    Attributes:
        parts: Parts of the page as they are now, by the ids of their elements.
        topics: What else has changed.
        lost: Changes are not heard of, for now; None when nothing is new about that.
    """

    parts: dict[str, str] = field(default_factory=dict)
    topics: set[str] = field(default_factory=set)
    lost: bool | None = None

    def __bool__(self) -> bool:
        return bool(self.parts or self.topics or self.lost is not None)

    def as_json(self) -> str:
        """Return it as the page reads it."""
        told: dict[str, Any] = {"parts": self.parts, "topics": sorted(self.topics)}
        if self.lost is not None:
            told["lost"] = self.lost
        return json.dumps(told)


class Listener:
    """One open stream."""

    def __init__(self, viewer: Viewer, *, lost: bool) -> None:
        self.viewer = viewer
        self._frame = Frame(topics={ALL}, lost=lost)
        self._news = asyncio.Event()
        self._news.set()

    def offer(self, parts: dict[str, str], topics: Iterable[str]) -> None:
        """Add what has changed to what was not taken yet."""
        frame = self._frame
        if ALL not in frame.topics:
            frame.topics.update(topics)
            frame.parts.update(parts)
        if len(frame.parts) > _MOST:
            frame.parts, frame.topics = {}, {ALL}
        if frame:
            self._news.set()

    def tell_lost(self, *, lost: bool) -> None:
        """Say that changes are not heard of any more, or are again, after a gap."""
        self._frame.lost = lost
        if not lost:
            self._frame.topics.add(ALL)
        self._news.set()

    async def take(self, patience: float) -> Frame | None:
        """Wait for something new; None after `patience` seconds without."""
        try:
            async with asyncio.timeout(patience):
                await self._news.wait()
        except TimeoutError:
            return None
        self._news.clear()
        frame, self._frame = self._frame, Frame()
        return frame


class Hub:
    """All open streams of this process. It begins to listen with the first of them, in the loop of that."""

    def __init__(self) -> None:
        self._listeners: set[Listener] = set()
        self._vms: set[str] = set()
        self._topics: set[str] = set()
        self._changed = asyncio.Event()
        self._lost = True
        self._tasks: list[asyncio.Task[None]] = []
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="live")

    @contextlib.contextmanager
    def joined(self, viewer: Viewer) -> Any:
        """Let a viewer listen. The first thing they are told is to read the page: there may have been a gap."""
        if not self._tasks:
            self._tasks = [asyncio.create_task(self._hear()), asyncio.create_task(self._hand_out())]
        listener = Listener(viewer, lost=self._lost)
        self._listeners.add(listener)
        try:
            yield listener
        finally:
            self._listeners.discard(listener)

    async def close(self) -> None:
        """Stop listening."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        self._threads.shutdown(wait=False)

    async def ask(self, question: Callable[..., T], *arguments: Any) -> T:
        """Ask the database in a thread of the hub's own, and keep no connection."""

        def answer() -> T:
            try:
                return question(*arguments)
            finally:
                connections.close_all()

        return await asyncio.get_running_loop().run_in_executor(self._threads, answer)

    async def _hear(self) -> None:
        while True:
            try:
                async with (
                    Redis.from_url(
                        settings.REDIS_URL, socket_connect_timeout=2, health_check_interval=_HEARTBEAT
                    ) as redis,
                    redis.pubsub() as subscription,
                ):
                    await subscription.subscribe(CHANNEL)
                    await self._follow(subscription)
            except (RedisError, OSError) as error:
                self._tell_lost(lost=True)
                log.warning("Redis away; pages ask for themselves", error=str(error))
            await asyncio.sleep(_TRY_AGAIN_AFTER)

    async def _follow(self, subscription: Any) -> None:
        while True:
            # A connection that is dead without saying so is noticed by what the health check does not get back.
            message = await subscription.get_message(timeout=_HEARTBEAT)
            if message is None:
                await subscription.ping()
                continue
            if message["type"] == "subscribe":
                self._tell_lost(lost=False)
            if message["type"] == "message":
                told = json.loads(message["data"])
                self._vms.update(told["vms"])
                self._topics.update(told["topics"])
                self._changed.set()

    def _tell_lost(self, *, lost: bool) -> None:
        if lost is self._lost:
            return
        self._lost = lost
        for listener in self._listeners:
            listener.tell_lost(lost=lost)

    async def _hand_out(self) -> None:
        while True:
            await self._changed.wait()
            await asyncio.sleep(_GATHER)
            self._changed.clear()
            vms, self._vms = self._vms, set()
            topics, self._topics = self._topics, set()
            try:
                await self._tell(vms, topics)
            except Exception:
                log.exception("changes could not be handed out")
                for listener in self._listeners:
                    listener.offer({}, [ALL])

    async def _tell(self, vms: set[str], topics: set[str]) -> None:
        ids = [UUID(vm) for vm in vms]
        kinds = {listener.viewer.kind: listener.viewer for listener in self._listeners}
        parts = {kind: await self.ask(render, ids, topics, viewer) for kind, viewer in kinds.items()}
        for listener in self._listeners:
            viewer = listener.viewer
            if viewer.kind in parts:
                about = {f"vm:{vm}" for vm in ids} | topics
                # What is hidden from somebody is not named to them either: their pages ask for what they show.
                told = about if viewer.sees_all else {topic.partition(":")[0] for topic in about}
                listener.offer(parts[viewer.kind], told)


def render(vms: list[UUID], topics: set[str], viewer: Viewer) -> dict[str, str]:
    """Return the parts of the list's page that have changed, as viewers of a kind have them, by their elements' ids.

    Args:
        vms: Those that have changed; what is listed no more is left out.
    """
    with translation.override(viewer.language):
        parts: dict[str, str] = {
            f"vm_row_{row.vm.pk}": render_to_string("vms/fragments/vm_row.html", {"row": row, "user": viewer.user})
            for row in queries.vm_rows(viewer.user, vms)
        }
        if OPERATIONS in topics:
            context = {"strip": queries.strip(viewer.user), "user": viewer.user}
            parts["operation_strip"] = render_to_string("operations/fragments/operation_strip.html", context)
        return parts
