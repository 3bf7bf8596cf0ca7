"""Rows of the list are drawn once for as long as they show the same, and never when they would show something else."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.utils import timezone, translation

from tests.support.scene import MakeOperation, MakeVm
from vms import queries
from vms.domain.power import VmStatus
from vms.models import Tag, VirtualMachine
from vms.templatetags import rows

pytestmark = pytest.mark.django_db


def draw(user: User, vm: VirtualMachine) -> str:
    """Draw a VM's row as the list does."""
    return rows.drawn(queries.vm_row(user, vm.pk), user)


def times_drawn() -> int:
    """Count how often a quiet row was drawn."""
    return rows._quiet.cache_info().misses


def test_a_row_that_shows_the_same_is_drawn_once_for_all(vm: VirtualMachine, admin: User, operator: User) -> None:
    first, drawn = draw(admin, vm), times_drawn()
    assert draw(operator, vm) == first
    assert times_drawn() == drawn
    with translation.override("de"):
        assert draw(admin, vm) != first


CHANGES: dict[str, Callable[[VirtualMachine], object]] = {
    "name": lambda vm: VirtualMachine.objects.update(name="db17"),
    "status": lambda vm: VirtualMachine.objects.update(status=VmStatus.PAUSED),
    "agent": lambda vm: VirtualMachine.objects.update(agent_connected=not vm.agent_connected),
    "run once": lambda vm: VirtualMachine.objects.update(run_once=True),
    "stateless": lambda vm: VirtualMachine.objects.update(run_stateless=True),
    "processors": lambda vm: VirtualMachine.objects.update(vcpus=17),
    "memory": lambda vm: VirtualMachine.objects.update(memory=17 << 30),
    "how long": lambda vm: VirtualMachine.objects.update(running_since=timezone.now() - timedelta(days=17)),
    "tag": lambda vm: vm.tags.add(Tag.objects.create(name="seventeen")),
    "host": lambda vm: type(vm.host).objects.update(name="kvm17"),
    "changes": lambda vm: VirtualMachine.objects.update(change_waits=True),
}


@pytest.mark.parametrize("what", CHANGES)
def test_whatever_of_it_changes_shows(vm: VirtualMachine, admin: User, what: str) -> None:
    before = draw(admin, vm)
    CHANGES[what](vm)
    assert draw(admin, vm) != before
    assert draw(admin, vm) == draw(admin, vm)


def test_what_is_being_done_to_a_vm_shows_at_once_and_goes_again(
    make_vm: MakeVm, make_operation: MakeOperation, admin: User
) -> None:
    vm = make_vm("web17", VmStatus.UP)
    quiet = draw(admin, vm)
    operation = make_operation(vm)
    assert str(operation.get_absolute_url()) in draw(admin, vm)
    operation.delete()
    assert draw(admin, vm) == quiet
