"""Posts to URLs that people chose, without being a way into networks that those people cannot reach.

A name is resolved once. The addresses that come out are checked, and one of these very addresses is connected to, so
that a name which resolves anew cannot get around the check. A redirect is an answer like any other, and no proxy of the
environment is asked. One deadline holds for everything from the name to the answer, of which only the head is read.

This is the standard library's http.client on a connection of our own. httpx, requests and urllib3 take a name and
connect by themselves; the address can only be had there by replacing parts of theirs that are not meant to be, and
their timeouts begin anew with every byte.
"""

from __future__ import annotations

import io
import socket
import ssl
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from queue import Empty, SimpleQueue
from threading import Thread
from time import monotonic
from typing import Any

from vms.domain import webhook
from vms.domain.webhook import Target

#: Seconds for a whole delivery.
TIMEOUT = 10.0
#: So many bytes may come before an answer's head has ended.
LONGEST_HEAD = 65536
_LONGEST_REASON = 100

#: As `socket.getaddrinfo` returns it: family, kind, protocol, name, and what to connect to.
_Found = tuple[Any, Any, int, str, Any]


class Unanswered(Exception):
    """No answer came. The text is a sentence that says why."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a receiver said."""

    status: int
    reason: str

    @property
    def taken(self) -> bool:
        """True when it has the delivery."""
        return 200 <= self.status < 300

    @property
    def in_trouble(self) -> bool:
        """True when it would have said so to anything: it is broken, or has too much to do."""
        return self.status >= 500 or self.status == 429

    def __str__(self) -> str:
        return f"{self.status} {self.reason}".strip()


def post(url: str, body: bytes, headers: Mapping[str, str], *, private: bool, timeout: float = TIMEOUT) -> Answer:
    """Post a body and return what the receiver says.

    Args:
        private: Whether addresses within this machine and its networks may be connected to.
        timeout: For everything together, in seconds.

    Raises:
        Unanswered: Nobody could be asked, or nobody answered.
        WebhookError: The URL is not one to post to.
    """
    target = webhook.target(url)
    until = monotonic() + timeout
    try:
        with closing(_connected(target, until, private=private)) as line:
            return _ask(target, line, body, headers)
    except TimeoutError:
        raise Unanswered(f"No answer within {timeout:g} s.") from None
    except (OSError, HTTPException) as error:
        raise Unanswered(str(error) or type(error).__name__) from error


class _Line:
    """As much of a socket as http.client uses, which ends at a moment and brings in a head's length at most."""

    def __init__(self, sock: socket.socket, until: float) -> None:
        self._socket, self._until, self._room = sock, until, LONGEST_HEAD

    def sendall(self, data: bytes) -> None:
        self._socket.settimeout(_left(self._until))
        self._socket.sendall(data)

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(_Incoming(self))

    def receive_into(self, buffer: Any) -> int:
        if not self._room:
            raise HTTPException(f"The answer's head is longer than {LONGEST_HEAD} bytes.")
        self._socket.settimeout(_left(self._until))
        count = self._socket.recv_into(buffer, min(len(buffer), self._room))
        self._room -= count
        return count

    def close(self) -> None:
        self._socket.close()


class _Incoming(io.RawIOBase):
    """What comes in on a line: a file of its own, as http.client closes line and file in either order."""

    def __init__(self, line: _Line) -> None:
        self._line = line

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._line.receive_into(buffer)


def _ask(target: Target, line: _Line, body: bytes, headers: Mapping[str, str]) -> Answer:
    speaker = HTTPConnection(target.host, target.port)
    speaker.sock = line  # it has nothing to connect, then
    speaker.request("POST", target.path, body, {"Host": target.place, **headers, "Connection": "close"})
    with closing(speaker.getresponse()) as response:
        return Answer(response.status, response.reason[:_LONGEST_REASON])


def _connected(target: Target, until: float, *, private: bool) -> _Line:
    """Connect to the first of a name's addresses that answers, among those that may be connected to."""
    found = [each for each in _resolved(target, until) if webhook.may_connect(each[4][0], private=private)]
    failure = OSError(
        f"{target.host} is not on the Internet, and webhooks to private addresses are not allowed here "
        "(PORTAL_WEBHOOKS_PRIVATE)."
    )
    for each in found:
        try:
            return _Line(_opened(each, target, until), until)
        except TimeoutError:
            raise
        except OSError as error:
            failure = error
    raise failure


def _opened(found: _Found, target: Target, until: float) -> socket.socket:
    family, kind, protocol, _name, address = found
    opened = socket.socket(family, kind, protocol)
    try:
        opened.settimeout(_left(until))
        opened.connect(address)  # of numbers: nothing is resolved again
        if target.tls:
            # Certificate and name are checked against the URL's, whatever the address.
            return ssl.create_default_context().wrap_socket(opened, server_hostname=target.host)
    except BaseException:
        opened.close()
        raise
    return opened


def _resolved(target: Target, until: float) -> list[_Found]:
    """Return a name's addresses, asked for in a thread of its own: a resolver knows no deadline."""
    answers: SimpleQueue[list[_Found] | Exception] = SimpleQueue()

    def resolve() -> None:
        try:
            answers.put(socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError) as error:
            answers.put(error)

    Thread(target=resolve, name="webhook-resolver", daemon=True).start()
    try:
        answer = answers.get(timeout=_left(until))
    except Empty:
        raise TimeoutError from None
    if isinstance(answer, Exception):
        raise OSError(f"{target.host} is not found: {answer}") from answer
    return answer


def _left(until: float) -> float:
    """Return how many seconds are left.

    Raises:
        TimeoutError: None are.
    """
    left = until - monotonic()
    if left <= 0:
        raise TimeoutError
    return left
