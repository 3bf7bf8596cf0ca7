"""One for each web process: hears of changes by a single subscription, and hands each viewer what they may see of them.

Parts of pages are rendered once, however many look at them. Nobody is waited for: of what a viewer has not taken yet
the newest of each part is kept, and too many of these become one request to read the page again.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar
from uuid import UUID

import structlog
from django.conf import settings
from django.db import DatabaseError, connections
from redis.asyncio import Redis
from redis.exceptions import RedisError

from vms.live import viewers
from vms.live.listener import ALL, MOST, Listener
from vms.live.publishing import CHANNEL
from vms.live.rendering import render
from vms.live.viewers import Viewer

log = structlog.get_logger(__name__)

T = TypeVar("T")

#: Seconds over which changes are gathered before rows are rendered.
_GATHER = 0.1
#: Seconds until Redis is tried again.
_TRY_AGAIN_AFTER = 1.0
#: Seconds within which Redis has to say something, and then again to answer when it is asked.
_HEARTBEAT = 10.0
#: Seconds between two looks at who may still listen: one for all of them.
_LOOK_AGAIN = 5.0
#: Threads that ask the database who has come, and as many that render: a crowd that comes holds up no row.
_THREADS = 2


class Hub:
    """All open streams of this process. It begins to listen with the first of them, in the loop of that."""

    def __init__(self) -> None:
        self._listeners: set[Listener] = set()
        self._vms: set[str] = set()
        self._topics: set[str] = set()
        self._changed = asyncio.Event()
        self._lost = True
        self._tasks: list[asyncio.Task[None]] = []
        self._asking = ThreadPoolExecutor(_THREADS, thread_name_prefix="live-asking")
        self._rendering = ThreadPoolExecutor(_THREADS, thread_name_prefix="live-rendering")

    @contextlib.contextmanager
    def joined(self, viewer: Viewer) -> Iterator[Listener]:
        """Let a viewer listen. The first thing they are told is to read the page: there may have been a gap."""
        if not self._tasks:
            work = (self._hear, self._hand_out, self._look_again)
            self._tasks = [asyncio.create_task(self._keep_on(each)) for each in work]
        listener = Listener(viewer, lost=self._lost)
        self._listeners.add(listener)
        try:
            yield listener
        finally:
            self._listeners.discard(listener)

    async def close(self) -> None:
        """Send everybody away, and stop listening."""
        for listener in self._listeners:
            listener.dismiss()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        for threads in (self._asking, self._rendering):
            threads.shutdown(wait=False, cancel_futures=True)

    async def find(self, headers: Mapping[str, str]) -> Viewer | None:
        """Return who has sent a request with these headers; None for nobody who may listen.

        Raises:
            DatabaseError: The database cannot be asked.
        """
        return await self._run(self._asking, viewers.find, headers)

    async def _run(self, threads: ThreadPoolExecutor, question: Callable[..., T], *arguments: Any) -> T:
        """Ask the database in a thread, and keep no connection."""

        def answer() -> T:
            try:
                return question(*arguments)
            finally:
                connections.close_all()

        return await asyncio.get_running_loop().run_in_executor(threads, answer)

    async def _keep_on(self, work: Callable[[], Any]) -> None:
        """Do a part of the work for as long as the process runs, whatever becomes of it once."""
        while True:
            try:
                await work()
            except Exception:
                log.exception("the stream stumbled and goes on")
                for listener in self._listeners:
                    listener.offer({}, [ALL])
                await asyncio.sleep(_TRY_AGAIN_AFTER)

    async def _hear(self) -> None:
        try:
            async with (
                Redis.from_url(settings.REDIS_URL, socket_connect_timeout=2) as redis,
                redis.pubsub() as subscription,
            ):
                await subscription.subscribe(CHANNEL)
                await self._follow(subscription)
        except (RedisError, OSError) as error:
            log.warning("Redis away; pages ask for themselves", error=str(error))
        finally:
            self._tell_lost(lost=True)
        await asyncio.sleep(_TRY_AGAIN_AFTER)

    async def _follow(self, subscription: Any) -> None:
        asked = False
        while True:
            message = await subscription.get_message(timeout=_HEARTBEAT)
            if message is None:
                # A connection may be dead without saying so: then nothing comes back, either.
                if asked:
                    raise TimeoutError("Redis says nothing")
                await subscription.ping()
                asked = True
                continue
            asked = False
            if message["type"] == "subscribe":
                self._tell_lost(lost=False)
            elif message["type"] == "message":
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
        await self._changed.wait()
        await asyncio.sleep(_GATHER)
        self._changed.clear()
        vms, self._vms = self._vms, set()
        topics, self._topics = self._topics, set()
        if len(vms) > MOST:
            # More than a page holds: each reads what it shows.
            for listener in self._listeners:
                listener.offer({}, [ALL])
        else:
            await self._tell({UUID(vm) for vm in vms}, topics)

    async def _tell(self, vms: set[UUID], topics: set[str]) -> None:
        kinds = {listener.viewer.kind: listener.viewer for listener in self._listeners}
        rendered = await asyncio.gather(
            *(self._run(self._rendering, render, vms, topics, viewer) for viewer in kinds.values())
        )
        parts: dict[Any, dict[str, str]] = dict(zip(kinds, rendered, strict=True))
        about = {f"vm:{vm}" for vm in vms} | topics
        # What is hidden from somebody is not named to them either: their pages ask for what they show.
        vaguely = {topic.partition(":")[0] for topic in about}
        for listener in self._listeners:
            viewer = listener.viewer
            if viewer.kind in parts:
                listener.offer(parts[viewer.kind], about if viewer.sees_all else vaguely)
            else:
                # Came, or became another, while this was rendered: before or after what it was rendered from.
                listener.offer({}, [ALL])

    async def _look_again(self) -> None:
        await asyncio.sleep(_LOOK_AGAIN)
        asked = {listener.viewer for listener in self._listeners}
        try:
            now = await self._run(self._asking, viewers.again, asked)
        except DatabaseError as error:
            # Nothing can be rendered for anybody, either.
            log.warning("database away; who may listen is looked at later", error=str(error))
            return
        for listener in self._listeners:
            if listener.viewer in now:
                listener.become(now[listener.viewer])
