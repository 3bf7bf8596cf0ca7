"""The tests themselves run by the project's own rules, whatever arguments a run has."""

from __future__ import annotations

import pytest

from portal.env import BASE_DIR


def test_the_run_obeys_the_projects_own_settings(pytestconfig: pytest.Config) -> None:
    # An argument that pytest takes for a path makes it look for its settings there, and find none.
    assert pytestconfig.inipath == BASE_DIR / "pyproject.toml"
    assert pytestconfig.getini("filterwarnings") == ["error"]
