"""The scene's fixtures, and a client that speaks as a person."""

from __future__ import annotations

import base64
from uuid import UUID

import pytest
from django.contrib.auth.models import User
from django.test import Client

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


@pytest.fixture(autouse=True)
def _no_worker(woken: list[UUID]) -> None:  # noqa: F811  (the fixture imported above)
    """Record who would be woken, instead of telling Celery."""


def as_person(user: User) -> Client:
    """Return a client that sends a person's name and password with each request."""
    words = base64.b64encode(f"{user.username}@internal:a password".encode()).decode()
    return Client(headers={"Authorization": f"Basic {words}"})
