"""The authority on a client's end of the fake host's wire: calls by many threads over one connection."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import socket
import threading
from collections.abc import Callable
from typing import Any

from vms.hypervisor.base import HostUnreachable, HypervisorError
from vms.hypervisor.fake import wire

#: A connection on which nothing was heard for this many keepalive intervals is dead.
_SILENT_INTERVALS = 3


class Channel:
    """One connection to the daemon.

    Args:
        path: The daemon's socket.
        role: `driver` or `control`.
        keepalive: Seconds between signs of life asked of a silent daemon; three without one and the connection is
            given up. None waits for ever.
        on_event: Called with each event, in this channel's own thread.
        on_lost: Called once, with the reason, when the connection is lost (not when it is closed).

    Raises:
        HostUnreachable: Nobody answers there.
    """

    def __init__(
        self,
        path: str,
        role: str,
        *,
        keepalive: float | None = 5.0,
        on_event: Callable[[dict[str, Any]], None] = lambda event: None,
        on_lost: Callable[[str], None] = lambda reason: None,
    ) -> None:
        self._on_event, self._on_lost = on_event, on_lost
        self._lock = threading.Lock()
        self._answers: dict[int, queue.SimpleQueue[dict[str, Any]]] = {}
        self._last_id = 0
        self._lost: str | None = None
        self._closed = False
        self._socket = socket.socket(socket.AF_UNIX)
        self._buffer = bytearray()
        try:
            self._socket.settimeout(keepalive and keepalive * _SILENT_INTERVALS)
            self._socket.connect(path)
            self._socket.sendall(json.dumps({"role": role, "pid": os.getpid()}).encode() + b"\n")
            if self._read_line() is None:
                raise ConnectionResetError("the host closed the connection")
        except OSError as error:
            self._socket.close()
            raise HostUnreachable(f"cannot connect to the fake host at {path}: {error}") from error
        self._socket.settimeout(keepalive)
        self._thread = threading.Thread(target=self._read, name=f"fake-host-{role}", daemon=True)
        self._thread.start()

    @property
    def lost(self) -> str | None:
        """Why the connection was lost or closed, or None."""
        return self._lost

    def call(self, name: str, /, *, within: float | None = None, **arguments: Any) -> Any:
        """Send a call and return its result.

        Args:
            within: Seconds after which nobody waits for the answer any more; None: as long as the connection lives.

        Raises:
            HypervisorError: Of the kind that the daemon answered with; or it did not answer in time.
            HostUnreachable: The connection was lost before the answer came.
        """
        if threading.current_thread() is self._thread:
            raise RuntimeError("an event handler must not call the host: its answer could not be read")
        answers: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        with self._lock:
            if self._lost is not None:
                raise HostUnreachable(self._lost)
            self._last_id += 1
            number = self._last_id
            self._answers[number] = answers
            self._send({"id": number, "call": name, "args": arguments})
        try:
            answer = answers.get(timeout=within)
        except queue.Empty:
            self._answers.pop(number, None)
            raise HypervisorError(f"the hypervisor did not answer within {within:g} s") from None
        if error := answer.get("error"):
            raise wire.unpack(error)
        return answer["result"]

    def close(self) -> None:
        """Close the connection. Calls under way end with `HostUnreachable`."""
        self._closed = True
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _send(self, message: dict[str, Any]) -> None:
        try:
            self._socket.sendall(json.dumps(message).encode() + b"\n")
        except OSError:
            # Perhaps half a line is on its way: this connection is of no use. The reader ends every call that waits.
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)

    def _read_line(self) -> bytes | None:
        """Return the next line, or None at the end of the stream. A timeout loses nothing."""
        start = 0
        while (end := self._buffer.find(b"\n", start)) < 0:
            start = len(self._buffer)
            data = self._socket.recv(1 << 18)
            if not data:
                return None
            self._buffer += data
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        return line

    def _read(self) -> None:
        reason = "the fake host closed the connection"
        silent = 0
        while True:
            try:
                line = self._read_line()
            except TimeoutError:
                silent += 1
                if silent >= _SILENT_INTERVALS:
                    reason = "the fake host does not answer"
                    break
                with self._lock:
                    self._send({"id": 0, "call": "ping"})
                continue
            except OSError as error:
                reason = f"connection to the fake host lost: {error}"
                break
            if line is None:
                break
            silent = 0
            message = json.loads(line)
            if event := message.get("event"):
                self._on_event(event)
            elif answers := self._answers.pop(message["id"], None):
                answers.put(message)
        self._give_up("the connection was closed" if self._closed else reason)

    def _give_up(self, reason: str) -> None:
        with self._lock:
            self._lost = reason
            waiting, self._answers = list(self._answers.values()), {}
        for answers in waiting:
            answers.put({"error": wire.pack(HostUnreachable(reason))})
        self._socket.close()
        if not self._closed:
            self._on_lost(reason)
