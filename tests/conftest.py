"""Fixtures that every ring shares."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from vms.hypervisor import connections

pytest_plugins = ["tests.support.fake", "tests.support.guests"]


@pytest.fixture(autouse=True)
def _no_connection_outlives_its_test() -> Iterator[None]:
    """Close the connections to hypervisors that a test opened."""
    yield
    connections.close_all()
