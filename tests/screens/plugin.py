"""Adds the option that keeps a picture of every screen; `./dev screenshots` loads it."""

from __future__ import annotations

from pathlib import Path

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option."""
    parser.addoption("--pictures", type=Path, help="directory that gets a picture of every screen")
