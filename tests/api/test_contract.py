"""Schemathesis asks whatever the description allows, and a good deal that it does not.

No answer is one that the description lacks, and none is the portal's own fault.
"""

from __future__ import annotations

import base64
from typing import Any

import pytest
import schemathesis
from django.contrib.auth.models import User
from django.core.handlers.wsgi import WSGIHandler
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
SETTINGS = settings(
    max_examples=30,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)

schema = schemathesis.openapi.from_wsgi(f"{BASE}/openapi.json", WSGIHandler())


@pytest.fixture
def credentials(admin: User, make_vm: MakeVm) -> dict[str, str]:
    """The administrator's, on a portal with a VM in some statuses."""
    for status in (VmStatus.UP, VmStatus.DOWN, VmStatus.SUSPENDED):
        make_vm(f"vm-{status}", status)
    words = base64.b64encode(f"{admin.username}:a password".encode()).decode()
    return {"Authorization": f"Basic {words}"}


@schema.parametrize()
@SETTINGS
def test_somebody_who_may_do_everything_is_answered_as_described(case: Case, credentials: dict[str, str]) -> None:
    case.call_and_validate(headers=credentials, checks=CHECKS)


@schema.parametrize()
@SETTINGS
@pytest.mark.usefixtures("db")
def test_nobody_is_answered_as_described(case: Case) -> None:
    response: Any = case.call()
    case.validate_response(response, checks=CHECKS)
    if case.operation.definition.raw["security"]:
        assert response.status_code == 401
