"""`vm_action`: the confirmation of a power action, and its doing."""

from __future__ import annotations

import json
import uuid
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from tests.web.conftest import LogIn, MakeOperation, MakeVm
from vms.domain.operation import Stage
from vms.domain.power import Action, VmStatus
from vms.models import Event, Operation, PortalDefaults, VirtualMachine

REBOOT = reverse("vm_action", args=[Action.REBOOT])
POWER_OFF = reverse("vm_action", args=[Action.POWER_OFF])


def triggers(response: Any) -> dict[str, Any]:
    """Return what an answer tells the page's scripts."""
    said: dict[str, Any] = json.loads(response.headers.get("HX-Trigger", "{}"))
    return said


def test_an_operators_reboot_is_accepted_and_its_row_says_rebooting(
    log_in: LogIn, operator: User, vm: VirtualMachine, woken: list[UUID], django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        response = log_in(operator, htmx=True).post(REBOOT, {"vm": vm.pk, "reason": "new kernel"})
    assert response.status_code == 200
    operation = Operation.objects.get()
    assert (operation.action, operation.actor_name, operation.reason) == (Action.REBOOT, "oskar", "new kernel")
    html = response.content.decode()
    assert f'id="vm_row_{vm.pk}"' in html
    assert "Rebooting" in html
    assert 'hx-swap-oob="morph"' in html
    assert triggers(response)["portal:toast"]["message"] == "Reboot of web01 was accepted."
    assert {"portal:close-dialog", "portal:refresh"} <= triggers(response).keys()
    assert woken == [vm.pk]
