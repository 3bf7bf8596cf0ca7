"""The domain ring needs nothing: no Django, no database, no clock."""

from __future__ import annotations

import pytest


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "behaviour(*rows): shows these rows of the behaviour specification")
