"""What every client needs: an address, guests to act on, and people who may do less than everything."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.contrib.auth.models import User

from tests.acceptance.instance import PASSWORD, Instance, vm, wait_status
from tests.support.fake import FakeDaemon
from vms.hypervisor.fake import OBEDIENT, Temper
from vms.models import Assignment, Role, VirtualMachine

Guest = Callable[..., VirtualMachine]
Person = Callable[..., str]


@pytest.fixture(scope="module")
def api(portal: Instance) -> str:
    """The address that clients are given."""
    return f"{portal.url}ovirt-engine/api"


@pytest.fixture(scope="module")
def guest(portal: Instance, fake_host: FakeDaemon) -> Guest:
    """Define a guest, and return its VM once the portal has found it."""

    def define(name: str, temper: Temper = OBEDIENT, *, running: bool = True, **fields: object) -> VirtualMachine:
        fake_host.control.define(name, temper, running=running, **fields)
        machine = vm(name)
        wait_status(machine, "up" if running else "down")
        return machine

    return define


@pytest.fixture(scope="module")
def person(portal: Instance) -> Person:
    """Make somebody who has a role on some VMs and nothing else; return the name that a client logs in by."""

    def make(name: str, role: str, *machines: VirtualMachine) -> str:
        # As the portal itself keeps a password: it does not know the fast way of these tests.
        hasher = PBKDF2PasswordHasher()
        user = User.objects.create(username=name, password=hasher.encode(PASSWORD, hasher.salt()))
        for machine in machines:
            Assignment.objects.create(role=Role.objects.get(name=role), user=user, vm=machine)
        return f"{name}@internal"

    return make
