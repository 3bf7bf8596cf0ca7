"""The fixtures of this ring: a scene, and no worker to wake."""

from __future__ import annotations

from uuid import UUID

import pytest

from tests.support.scene import (  # noqa: F401  (fixtures: pytest finds them by their names)
    admin,
    host,
    log_in,
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
