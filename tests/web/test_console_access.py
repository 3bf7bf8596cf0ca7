"""What the console's WebSocket asks before it opens: its origin, and hosts that may hang. Tickets: test_console."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest
from django.test import override_settings

from vms.console.access import from_our_page
from vms.console.displays import Displays
from vms.hypervisor import connections
from vms.hypervisor.base import HostUnreachable


@pytest.mark.parametrize(
    ("origin", "ours"),
    [
        ("https://portal.example", True),
        ("http://portal.example", True),  # a proxy in between speaks TLS
        ("https://portal.example:8443", False),
        ("https://trusted.example", True),
        ("http://trusted.example", False),
        ("https://any.of.example", True),
        ("https://evilof.example", False),
        ("https://portal.example.evil.example", False),
        ("null", False),
        ("", False),
        ("portal.example", False),
    ],
)
def test_a_websocket_comes_from_our_page(origin: str, ours: bool) -> None:
    with override_settings(CSRF_TRUSTED_ORIGINS=["https://trusted.example", "https://*.of.example"]):
        assert from_our_page({"origin": origin, "host": "portal.example"}) is ours


def test_a_websocket_without_origin_or_host_is_not_ours() -> None:
    assert not from_our_page({})
    assert not from_our_page({"host": "portal.example"})
    assert not from_our_page({"origin": "https://", "host": ""})


def test_a_host_that_hangs_holds_up_two_consoles_and_no_other_host(tmp_path: Path) -> None:
    silent = tmp_path / "s"
    hanging = f"fake+unix://{silent}?keepalive=0.3"

    async def ask() -> tuple[str, str]:
        displays = Displays()

        async def said(uri: str) -> str:
            with pytest.raises(HostUnreachable) as refused:
                await displays.open(uri, "00000000-0000-0000-0000-000000000000")
            return str(refused.value)

        waiting = [asyncio.create_task(said(hanging)) for _ in range(2)]
        await asyncio.sleep(0)  # they have asked
        refused = await said(hanging)
        elsewhere = await said(f"fake+unix://{tmp_path}/nobody")
        assert not waiting[0].done()
        await asyncio.gather(*waiting)
        return refused, elsewhere

    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(silent))
        server.listen()
        try:
            refused, elsewhere = asyncio.run(ask())
        finally:
            connections.release(hanging)
    assert "has not answered others" in refused
    assert "cannot connect" in elsewhere
