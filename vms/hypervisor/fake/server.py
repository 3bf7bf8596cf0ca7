"""The authority on the fake host's wire: JSON lines over a unix socket.

A client says hello once, with its role (`driver` or `control`) and process id; then it sends
`{"id": …, "call": …, "args": {…}}` and is answered `{"id": …, "result": …}` or `{"id": …, "error": {"kind", "text"}}`,
in any order. A driver that has called `watch` also gets `{"event": {…}}`. A call goes on when its client dies, as it
does in libvirtd.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from vms.hypervisor.base import HypervisorError, NotSupported
from vms.hypervisor.fake import screen, wire
from vms.hypervisor.fake.calls import CALLS
from vms.hypervisor.fake.faults import AFTER, BEFORE, Faults, Target
from vms.hypervisor.fake.host import FakeHost
from vms.hypervisor.fake.store import Store

_LINE_LIMIT = 1 << 20
_DEFINED_AT_A_TIME = 500
#: Calls of the port about a domain that need not be there, and are logged.
_LOGGED: dict[str, Callable[..., None]] = {"remove_disk": FakeHost.remove_disk, "define": FakeHost.define_one}


class AlreadyRunning(Exception):
    """Another daemon serves this socket."""


class _Client:
    """One connection."""

    def __init__(self, writer: asyncio.StreamWriter, role: str, pid: int) -> None:
        self.writer, self.role, self.pid = writer, role, pid
        self.watches = False

    def send(self, message: dict[str, Any]) -> None:
        if not self.writer.is_closing():
            self.writer.write(json.dumps(message, separators=(",", ":")).encode() + b"\n")


class Daemon:
    """The daemon: a fake host behind a socket."""

    def __init__(self, socket_path: Path, state_path: Path, log_path: Path | None = None) -> None:
        self._socket_path = socket_path
        self._store = Store(state_path, log_path)
        self._host = FakeHost(self._store, time.time, self._emit, self._plan)
        self._faults = Faults()
        self._writers: set[asyncio.StreamWriter] = set()
        self._serving: set[asyncio.Task[Any]] = set()
        self._clients: set[_Client] = set()
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._logged = asyncio.Condition()
        self._orders = self._control_orders()

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT.

        Raises:
            AlreadyRunning: Another daemon answers on the socket.
        """
        _clear_stale(self._socket_path)
        self._host.load()
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        # Bound under another name and renamed, so that whoever finds the socket can connect to it at once.
        early = self._socket_path.with_name(f"{self._socket_path.name}.{os.getpid()}")
        server = await asyncio.start_unix_server(self._serve, early, limit=_LINE_LIMIT, backlog=512)
        early.rename(self._socket_path)
        try:
            await stop.wait()
        finally:
            self._socket_path.unlink(missing_ok=True)
            self._faults.awake.set()
            server.close()
            await self._finish()
            self._store.close()

    async def _finish(self) -> None:
        """Hang up on everybody and forget the calls under way."""
        for writer in self._writers:
            writer.transport.abort()
        for task in [*self._tasks]:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    # The wire.

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client: _Client | None = None
        self._writers.add(writer)
        if serving := asyncio.current_task():
            self._serving.add(serving)
            serving.add_done_callback(self._serving.discard)
        try:
            hello = json.loads(await reader.readline() or b"{}")
            client = _Client(writer, hello.get("role", "driver"), hello.get("pid", 0))
            if client.role == "driver":
                # One that hangs accepts connections all the same, and says nothing.
                await self._faults.awake.wait()
                if self._faults.refusing:
                    return
            client.send({"hello": "vm-portal fake host"})
            self._clients.add(client)
            while line := await reader.readline():
                self._spawn(self._answer(client, json.loads(line)))
        except (ConnectionError, ValueError):
            pass
        finally:
            if client is not None:
                self._clients.discard(client)
            self._writers.discard(writer)
            writer.close()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, client: _Client, request: dict[str, Any]) -> None:
        name, arguments = request["call"], request.get("args") or {}
        answer: dict[str, Any] = {"id": request["id"]}
        try:
            if client.role == "control":
                answer["result"] = await self._control(name, arguments)
            else:
                answer["result"] = await self._call(client, name, arguments)
        except HypervisorError as error:
            answer["error"] = wire.pack(error)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            answer["error"] = wire.pack(HypervisorError(f"bad request {name}: {error!r}"))
        client.send(answer)

    async def _call(self, client: _Client, name: str, arguments: dict[str, Any]) -> Any:
        await self._faults.awake.wait()
        if name == "ping":
            return None
        uuid = arguments.pop("uuid", None)
        self._host.counts[name] += 1
        if latency := max(self._faults.latency(name, uuid), self._host.takes(name, uuid)):
            await asyncio.sleep(latency)
        await self._faults.held(name, uuid, BEFORE)
        result = await self._carry_out(client, name, uuid, arguments)
        await self._faults.held(name, uuid, AFTER)
        return result

    async def _carry_out(self, client: _Client, name: str, uuid: str | None, arguments: dict[str, Any]) -> Any:
        if failure := self._faults.failure(name, uuid):
            if name in CALLS and uuid is not None:
                self._host.refuse(name, uuid, failure.text, client.pid)
                await self._tell_logged()
            raise wire.unpack({"kind": failure.kind, "text": failure.text})
        if name in CALLS and uuid is not None:
            try:
                return self._host.call(name, uuid, arguments, client.pid)
            finally:
                await self._tell_logged()
        match name:
            case "info":
                return {"hostname": socket.gethostname(), "hypervisor": "fake", "version": "1"}
            case "domains" | "usage":
                return getattr(self._host, name)()
            case "observe" | "definition" | "guest" if uuid is not None:
                return getattr(self._host, name)(uuid)
            case "screenshot" if uuid is not None:
                return screen.picture(self._host.observe(uuid))
            case "remove_disk" | "define" if uuid is not None:
                try:
                    _LOGGED[name](self._host, uuid, pid=client.pid, **arguments)
                finally:
                    await self._tell_logged()
                return None
            case "watch":
                client.watches = True
                return None
        raise NotSupported(f"no call {name}")

    async def _control(self, name: str, arguments: dict[str, Any]) -> Any:
        if name not in self._orders:
            raise NotSupported(f"no order {name}")
        try:
            result = self._orders[name](**arguments)
            return await result if isinstance(result, Coroutine) else result
        finally:
            await self._tell_logged()

    def _control_orders(self) -> dict[str, Callable[..., Any]]:
        """Return what a control connection may order, by name."""
        host, faults = self._host, self._faults
        return {
            "define": self._define,
            "change": host.change,
            "hand": host.hand,
            "set_load": host.set_load,
            "usage": host.usage,
            "inside": host.inside,
            "make_image": host.make_image,
            "images": host.images,
            "log": host.log,
            "wait_log": self._wait_log,
            "counts": lambda: dict(host.counts),
            "clients": lambda: [client.pid for client in self._clients if client.role == "driver"],
            "hold": lambda call, target, **how: faults.hold(Target(call, target), **how),
            "wait_held": lambda call, target, **how: faults.wait_held(Target(call, target), **how),
            "release": lambda call, target: faults.release(Target(call, target)),
            "fail": lambda call, target, **how: faults.fail(Target(call, target), **how),
            "latency": lambda call, target, **how: faults.delay(Target(call, target), **how),
            "clear": faults.clear,
            "hang": lambda hang: faults.awake.clear() if hang else faults.awake.set(),
            "refuse": self._refuse,
            "drop": self._drop,
        }

    def _refuse(self, refuse: bool) -> None:
        self._faults.refusing = refuse
        if refuse:
            self._drop()

    async def _define(self, names: list[str], **arguments: Any) -> list[str]:
        """Define a fleet in portions: in between others are answered."""
        uuids: list[str] = []
        for start in range(0, len(names), _DEFINED_AT_A_TIME):
            uuids += self._host.define(names=names[start : start + _DEFINED_AT_A_TIME], **arguments)
            await asyncio.sleep(0)
        return uuids

    def _drop(self) -> None:
        """Close the connections of all drivers, at once and without a word."""
        for client in list(self._clients):
            if client.role == "driver":
                client.writer.transport.abort()

    # The host's doings.

    def _emit(self, event: dict[str, Any]) -> None:
        for client in self._clients:
            if client.watches and self._faults.awake.is_set():
                client.send({"event": event})

    def _plan(self, uuid: str, due: float | None) -> None:
        if timer := self._timers.pop(uuid, None):
            timer.cancel()
        if due is not None:
            delay = max(0.0, due - time.time())
            self._timers[uuid] = asyncio.get_running_loop().call_later(delay, self._due, uuid)

    def _due(self, uuid: str) -> None:
        self._timers.pop(uuid, None)
        self._host.advance(uuid)
        self._spawn(self._tell_logged())

    async def _tell_logged(self) -> None:
        async with self._logged:
            self._logged.notify_all()

    async def _wait_log(self, wanted: dict[str, Any], after: int, seconds: float) -> dict[str, Any] | None:
        """Return the first log line after number `after` with the `wanted` fields, or None after `seconds`."""
        found: dict[str, Any] | None = None

        def look() -> bool:
            nonlocal found
            lines = self._host.log(wanted.get("uuid"), after)
            found = next((line for line in lines if wanted.items() <= line.items()), None)
            return found is not None

        async with self._logged:
            try:
                async with asyncio.timeout(seconds):
                    await self._logged.wait_for(look)
            except TimeoutError:
                return None
        return found


def _clear_stale(path: Path) -> None:
    """Remove a socket that nobody serves any more."""
    if not path.exists():
        return
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            path.unlink(missing_ok=True)
        else:
            raise AlreadyRunning(f"a fake host already serves {path}")
