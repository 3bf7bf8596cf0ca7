"""The scene's fixtures, and a client that speaks as a person."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import timedelta
from uuid import UUID

import pytest
import time_machine
from django.contrib.auth.models import User
from django.test import Client

from tests.api.auth import NOON
from tests.support.scene import (  # noqa: F401  (fixtures: pytest finds them by their names)
    admin,
    host,
    make_operation,
    make_vm,
    operator,
    outsider,
    viewer,
    vm,
    woken,
)
from vms import actions


@pytest.fixture(autouse=True)
def _no_worker(woken: list[UUID]) -> None:  # noqa: F811  (the fixture imported above)
    """Record who would be woken, instead of telling Celery."""


def as_person(user: User) -> Client:
    """Return a client that sends a person's name and password with each request."""
    words = base64.b64encode(f"{user.username}@internal:a password".encode()).decode()
    return Client(headers={"Authorization": f"Basic {words}"})


@pytest.fixture
def clock() -> Iterator[time_machine.Traveller]:
    """A clock that stands still at noon, until it is moved."""
    with time_machine.travel(NOON, tick=False) as traveller:
        yield traveller


@pytest.fixture
def made(viewer: User, clock: time_machine.Traveller) -> str:  # noqa: F811
    """A token that Vera has made, at noon."""
    return actions.make_token(viewer, "backup", timedelta(days=30))
