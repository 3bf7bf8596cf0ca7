"""The authority on asking a guest agent: to take its guest down, without waiting for the guest; and what it is.

Not `virDomainShutdownFlags(GUEST_AGENT)`: it returns when the guest is down, or after 60 s (seen: 7.3 s for a guest
that took 7 s). `guest-shutdown` is by design not answered when it is accepted, and libvirt cannot send a command
without waiting: given no time at all (NOWAIT) it reported an error and the guest never got the command. So a ping
shows first that the agent listens; then the command is sent, for whose answer libvirt waits a second, but the caller
does not. Meanwhile the domain can be looked at, marked, pressed and destroyed: agent commands have a lock of their
own.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import suppress
from ipaddress import ip_address
from typing import Any

import libvirt
import libvirt_qemu

from vms.hypervisor.base import AgentUnavailable, DomainNotFound, GuestInfo, HostUnreachable, HypervisorError
from vms.hypervisor.libvirt_driver.errors import translated
from vms.hypervisor.libvirt_driver.line import SlowLine

#: How long a connected agent may take to answer a ping, in seconds. A live one took 10 ms, or 150 the first time; for a
#: dead one libvirt itself takes up to 5 s.
PING_LIMIT = 3
#: A refusal is answered at once (10 ms were seen): seconds to wait for it.
REFUSAL_LIMIT = 0.3
#: How long an answer that tells something may take, in seconds: a little longer than libvirt waits for it.
TOLD_LIMIT = PING_LIMIT + 1.0
#: The least that libvirt can be told to wait for an answer, in seconds.
LIBVIRT_WAITS = 1
#: Fewer than the calls that libvirt serves of one connection at a time (5), so that other calls find room.
_ASKS_AT_A_TIME = 4


class Agents:
    """The guest agents of one host."""

    def __init__(self, line: SlowLine) -> None:
        self._line = line
        self._room = threading.BoundedSemaphore(_ASKS_AT_A_TIME)

    def ask(self, uuid: str, mode: str) -> None:
        """Send guest-shutdown with `mode` (powerdown, reboot), within 5 s.

        Raises:
            AgentUnavailable: No agent listens, or it refused.
        """
        self._command(uuid, "guest-ping", {}, PING_LIMIT, PING_LIMIT)
        with suppress(_NoAnswer):
            self._command(uuid, "guest-shutdown", {"mode": mode}, LIBVIRT_WAITS, REFUSAL_LIMIT)

    def told_by(self, uuid: str) -> GuestInfo:
        """Ask what the guest is, within some 8 s.

        Raises:
            AgentUnavailable: No agent listens, or it did not answer.
        """
        interfaces = self._answer(uuid, "guest-network-get-interfaces")
        try:
            system = self._answer(uuid, "guest-get-osinfo")
        except AgentUnavailable:
            # Agents of old know no such command.
            system = None
        return GuestInfo(_system(system), tuple(_addresses(interfaces)))

    def _answer(self, uuid: str, name: str) -> Any:
        return json.loads(self._command(uuid, name, {}, PING_LIMIT, TOLD_LIMIT)).get("return")

    def _command(self, uuid: str, name: str, arguments: dict[str, str], seconds: int, limit: float) -> str:
        """Have libvirt send a command, wait `seconds` for its answer and return it; wait for libvirt until `limit`."""

        command = json.dumps({"execute": name, "arguments": arguments})

        def work(connection: libvirt.virConnect) -> str:
            try:
                answer = libvirt_qemu.qemuAgentCommand(connection.lookupByUUIDString(uuid), command, seconds, 0)
                return str(answer)
            except libvirt.libvirtError as error:
                meaning = translated(error)
                if isinstance(meaning, HostUnreachable | DomainNotFound):
                    raise
                kind = _NoAnswer if isinstance(meaning, AgentUnavailable) or _hung_up(error, name) else AgentUnavailable
                raise kind(str(meaning)) from error
            finally:
                self._room.release()

        if not self._room.acquire(timeout=LIBVIRT_WAITS + REFUSAL_LIMIT):
            raise HypervisorError("too many guest agents are being asked at this moment")
        try:
            return self._line.submit(work).result(limit)
        except TimeoutError:
            # The call ends by itself soon.
            raise _NoAnswer(f"the guest agent did not answer within {limit:g} s") from None


class _NoAnswer(AgentUnavailable):
    """The agent said nothing; to guest-shutdown, that is a yes."""


def _system(told: Any) -> str:
    """Return the operating system's name, fit to be shown, from the answer to guest-get-osinfo."""
    names = [told.get(key) for key in ("pretty-name", "name", "kernel-release")] if isinstance(told, dict) else []
    return str(next((name for name in names if name), ""))


def _addresses(told: Any) -> Iterator[str]:
    """Yield the addresses in the answer to guest-network-get-interfaces that others can reach the guest by.

    What a guest says is not to be relied on: anything that is no address is left out.
    """
    for interface in told if isinstance(told, list) else ():
        for each in interface.get("ip-addresses", ()):
            with suppress(ValueError, KeyError, TypeError):
                address = ip_address(each["ip-address"])
                if not (address.is_loopback or address.is_link_local):
                    yield str(address)


def _hung_up(error: libvirt.libvirtError, command: str) -> bool:
    """Say whether the agent went away with its guest ("End of file from agent socket") rather than refused.

    Both are internal errors, in the host's language; but a refusal names the command. The domain is not looked
    at: every look waits, a second or two, until its process has ended.
    """
    return error.get_error_code() == libvirt.VIR_ERR_INTERNAL_ERROR and command not in str(error.get_error_message())
