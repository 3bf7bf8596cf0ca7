"""Schemathesis asks whatever the description allows, and a good deal that it does not.

No answer is one that the description lacks, and none is the portal's own fault.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from django.contrib.auth.models import User
from django.core.handlers.wsgi import WSGIHandler
from django.core.signals import request_finished, request_started
from django.db import close_old_connections
from hypothesis import HealthCheck, settings
from schemathesis import Case
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.support.scene import MakeVm
from vms.api.declare import BASE
from vms.domain.power import VmStatus

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
#: Of each call, besides those that visit every limit of what it takes; always the same.
SETTINGS = settings(
    max_examples=10, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)

schema = schemathesis.openapi.from_wsgi(f"{BASE}/openapi.json", WSGIHandler())
# Who is not let in is not let in whatever they ask: a few requests are enough.
outside = schemathesis.openapi.from_wsgi(f"{BASE}/openapi.json", WSGIHandler())
outside.config.phases.coverage.enabled = False


@pytest.fixture(autouse=True)
def _connection_is_kept(db: None) -> Iterator[None]:
    """Keep the test's database open between requests, as Django's own test client does."""
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


@pytest.fixture
def credentials(admin: User, make_vm: MakeVm) -> dict[str, str]:
    """The administrator's, on a portal with a VM in some statuses."""
    for status in (VmStatus.UP, VmStatus.DOWN, VmStatus.SUSPENDED):
        make_vm(f"vm-{status}", status)
    words = base64.b64encode(f"{admin.username}:a password".encode()).decode()
    return {"Authorization": f"Basic {words}"}


@schema.parametrize()
@SETTINGS
def test_somebody_who_may_do_everything_is_answered_as_described(case: Case[Any], credentials: dict[str, str]) -> None:
    case.call_and_validate(headers=credentials, checks=CHECKS)


@outside.parametrize()
@settings(SETTINGS, max_examples=3)
def test_nobody_is_answered_as_described(case: Case[Any]) -> None:
    response: Any = case.call()
    case.validate_response(response, checks=CHECKS)
    if case.operation.definition.raw["security"]:
        assert response.status_code == 401
