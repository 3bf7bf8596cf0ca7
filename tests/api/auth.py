"""Programs that log in as Vera, and those that come without."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from django.test import Client

from vms.models import Event

VMS = "/ovirt-engine/api/vms"
TOKEN, LOGOUT = "/ovirt-engine/sso/oauth/token", "/ovirt-engine/services/sso-logout"
FORM = "application/x-www-form-urlencoded"
GOOD = {"grant_type": "password", "scope": "ovirt-app-api", "username": "vera@internal", "password": "a password"}
NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
ENDED = (401, b"", 'Basic realm="RESTAPI"')


def ask_for_token(**changes: str) -> Any:
    """Ask the token endpoint as the SDK does."""
    return Client().post(TOKEN, urlencode(GOOD | changes), content_type=FORM, headers={"Accept": "application/json"})


def log_in(**changes: str) -> str:
    """Return a session's token."""
    return str(json.loads(ask_for_token(**changes).content)["access_token"])


def log_out(token: str) -> Any:
    """Log out as the SDK does on `close`."""
    return Client().post(LOGOUT, urlencode({"scope": "ovirt-app-api", "token": token}), content_type=FORM)


def bearer(token: str) -> Client:
    """Return a client that sends a token."""
    return Client(headers={"Authorization": f"Bearer {token}"})


def basic(name: str, password: str) -> Client:
    """Return a client that sends name and password."""
    words = base64.b64encode(f"{name}:{password}".encode()).decode()
    return Client(headers={"Authorization": f"Basic {words}"})


def told(answer: Any) -> tuple[int, bytes, str]:
    """Return what a client looks at in an answer."""
    return answer.status_code, answer.content, answer.headers.get("WWW-Authenticate", "")


def is_let_in(client: Client) -> bool:
    """Say whether a client may look; an answer that refuses it has to be the one that clients know."""
    answer = client.get(VMS)
    assert answer.status_code == 200 or told(answer) == ENDED
    return bool(answer.status_code == 200)


def codes() -> list[int]:
    """Return the codes of all events, oldest first."""
    return list(Event.objects.order_by("id").values_list("code", flat=True))
