"""Fixtures of the rings that look at pages: named people, VMs and operations in chosen states, and a recorder where
workers would be woken. A ring takes them by importing them into its `conftest.py`."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import timedelta
from importlib import import_module
from typing import Any, Protocol
from uuid import UUID

import pytest
from django.apps import apps
from django.contrib.auth.models import Group, User
from django.db.models import QuerySet
from django.test import Client
from django.utils import timezone

from vms import tasks
from vms.domain.configuration import Configuration
from vms.domain.observation import DomainState
from vms.domain.operation import Outcome, Stage
from vms.domain.power import Action, VmStatus
from vms.engine.records import Code
from vms.models import Event, Host, Operation, Role, VirtualMachine

_RUNNING = {VmStatus.UP, VmStatus.POWERING_UP, VmStatus.REBOOT_IN_PROGRESS, VmStatus.POWERING_DOWN}


@pytest.fixture
def woken(monkeypatch: pytest.MonkeyPatch) -> list[UUID]:
    """The VMs that workers were asked to look at. The only thing these tests put a stand-in for."""
    ids: list[UUID] = []

    def wake(vm_id: UUID, *_args: object, **_: object) -> bool:
        ids.append(vm_id)
        return True

    monkeypatch.setattr(tasks, "wake", wake)
    return ids


def _restore_what_migrations_made() -> None:
    """Make the groups and roles anew where a test that commits has left an empty database behind."""
    if not Group.objects.filter(name="Viewer").exists():
        import_module("vms.migrations.0002_groups").create_groups(apps, None)
        import_module("vms.migrations.0010_removal_groups").grant(apps, None)
        import_module("vms.migrations.0012_first_roles").create(apps, None)
        import_module("vms.migrations.0020_administrators_external").grant(apps, None)
        import_module("vms.migrations.0022_adding").grant(apps, None)
        import_module("vms.migrations.0024_webhook_groups").grant(apps, None)


def the_role(name: str) -> Role:
    """Return one of the roles that come with the portal."""
    _restore_what_migrations_made()
    return Role.objects.get(name=name)


def _member(name: str, group: str) -> User:
    _restore_what_migrations_made()
    user = User.objects.create_user(name, password="a password")
    user.groups.add(Group.objects.get(name=group))
    return user


@pytest.fixture
def viewer(db: None) -> User:
    """May look."""
    return _member("vera", "Viewer")


@pytest.fixture
def operator(db: None) -> User:
    """May do power actions, and change no setting."""
    return _member("oskar", "Operator")


@pytest.fixture
def admin(db: None) -> User:
    """May do everything in the portal that its groups give."""
    return _member("ada", "Administrator")


@pytest.fixture
def outsider(db: None) -> User:
    """Can log in, and was given nothing."""
    return User.objects.create_user("otto", password="a password")


class LogIn(Protocol):
    """Opens a client for somebody."""

    def __call__(self, user: User, *, htmx: bool = False, enforce_csrf_checks: bool = False) -> Client:
        """Log in."""


@pytest.fixture
def log_in() -> LogIn:
    """Open a client for somebody, in a browser's ordinary way or in htmx's."""

    def open_client(user: User, *, htmx: bool = False, enforce_csrf_checks: bool = False) -> Client:
        headers = {"HX-Request": "true"} if htmx else {}
        client = Client(headers=headers, enforce_csrf_checks=enforce_csrf_checks)
        client.force_login(user)
        # What these tests look at begins once somebody is in. The model's own manager deletes no event.
        QuerySet(Event).filter(actor=user, code=Code.USER_LOGGED_IN).delete()
        return client

    return open_client


@pytest.fixture
def host(db: None) -> Host:
    """A connected host."""
    return Host.objects.create(
        name="kvm1", uri="qemu:///system", state=Host.State.CONNECTED, watched_until=timezone.now() + timedelta(hours=1)
    )


MakeVm = Callable[..., VirtualMachine]


def configuration(**parts: Any) -> dict[str, Any]:
    """Return a configuration as it is stored: 4 GiB, 2 CPUs, from disk, an empty CD drive, unless told otherwise."""
    plain: dict[str, Any] = {"memory": 4 << 30, "vcpus": 2, "boot": ("hd",), "cd_image": ""}
    return Configuration(**(plain | parts)).as_json()


def pending(**parts: Any) -> dict[str, Any]:
    """Return the fields of a VM that runs with a plain configuration, while another waits for the next cold start."""
    return {
        "stored_configuration": configuration(**parts),
        "running_configuration": configuration(),
        "pending_count": len(parts),
    }


@pytest.fixture
def make_vm(host: Host) -> MakeVm:
    """Make a VM in a status, with a guest agent and ACPI unless told otherwise."""

    def make(name: str = "web01", status: VmStatus = VmStatus.UP, **fields: Any) -> VirtualMachine:
        running = status in _RUNNING
        defaults: dict[str, Any] = {
            "host": host,
            "uuid": uuid.uuid4(),
            "memory": 4 * 1024**3,
            "vcpus": 2,
            "domain_state": DomainState.RUNNING if running else DomainState.DOWN,
            "agent_channel": True,
            "agent_connected": running,
            "running_since": timezone.now() - timedelta(days=12) if running else None,
        }
        wanted = defaults | fields
        stored = configuration(**{part: wanted[part] for part in ("description", "memory", "vcpus") if part in wanted})
        configured = {"stored_configuration": stored, "running_configuration": stored if running else None}
        return VirtualMachine.objects.create(name=name, status=status, **(configured | wanted))

    return make


@pytest.fixture
def vm(make_vm: MakeVm) -> VirtualMachine:
    """A VM that is Up."""
    return make_vm()


MakeOperation = Callable[..., Operation]


@pytest.fixture
def make_operation(db: None) -> MakeOperation:
    """Make an operation as the engine would have left it: waiting for its guest, unless told otherwise."""

    def make(
        vm: VirtualMachine,
        action: Action = Action.REBOOT,
        stage: Stage = Stage.WAITING,
        outcome: Outcome | None = None,
        **fields: Any,
    ) -> Operation:
        now = timezone.now()
        ended = outcome is not None
        defaults: dict[str, Any] = {
            "actor_name": "grace",
            "correlation_id": str(uuid.uuid4()),
            "force": False,
            "delay": 60,
            "force_origin": "default",
            "delay_origin": "default",
            "hard_deadline_at": now + timedelta(minutes=5),
            "asked_at": now - timedelta(seconds=19),
            "deadline_at": now + timedelta(seconds=41),
            "created_at": now - timedelta(seconds=20),
            "plan": {
                "action": action,
                "policy": {"force": False, "delay": 60, "force_origin": "default", "delay_origin": "default"},
                "steps": [
                    {"kind": "ask_agent", "after": 0},
                    {"kind": "press_button", "after": 30},
                    {"kind": "give_up", "after": 60},
                    {"kind": "start", "after": None},
                ],
            },
        }
        if ended:
            defaults |= {"stage": Stage.ENDED, "outcome": outcome, "ended_at": now}
        else:
            defaults["stage"] = stage
        return Operation.objects.create(vm=vm, action=action, **(defaults | fields))

    return make
