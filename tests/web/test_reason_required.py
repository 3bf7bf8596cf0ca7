"""Tags that want a reason: in the dialogs, and whatever surface asks for an action."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.urls import reverse

from tests.support.scene import LogIn, MakeVm
from vms import actions
from vms.domain.power import Action, VmStatus
from vms.models import Operation, Tag, VirtualMachine

REBOOT = reverse("vm_action", args=[Action.REBOOT])
RUN = reverse("vm_action", args=[Action.RUN])
SENTENCE = "Say why: the tag “production” wants a reason for every action."


@pytest.fixture
def production(vm: VirtualMachine) -> Tag:
    """A tag that wants a reason, on a VM that is Up."""
    tag = Tag.objects.create(name="production", reason_required=True)
    vm.tags.add(tag)
    return tag


@pytest.mark.behaviour(31)
@pytest.mark.usefixtures("production")
def test_the_dialog_wants_a_reason_when_one_of_the_vms_bears_the_tag(
    log_in: LogIn, operator: User, vm: VirtualMachine, make_vm: MakeVm
) -> None:
    client = log_in(operator, htmx=True)
    sent = {"vm": [str(vm.pk), str(make_vm("free").pk)]}
    assert "Required by the tag “production”." in client.get(REBOOT, sent).content.decode()
    response = client.post(REBOOT, sent | {"reason": "  "})
    assert response.status_code == 422
    assert response.content.decode().count(SENTENCE) == 2  # in the summary, and at the field
    assert not Operation.objects.exists()
    assert client.post(REBOOT, sent | {"reason": "new kernel"}).status_code == 200
    assert set(Operation.objects.values_list("reason", flat=True)) == {"new kernel"}


def test_other_vms_go_without(log_in: LogIn, operator: User, production: Tag, make_vm: MakeVm) -> None:
    production.reason_required = False
    production.save()
    client = log_in(operator, htmx=True)
    sent = {"vm": [str(VirtualMachine.objects.get().pk), str(make_vm("free").pk)]}
    assert "Optional." in client.get(REBOOT, sent).content.decode()
    assert client.post(REBOOT, sent).status_code == 200


@pytest.mark.usefixtures("production")
def test_no_surface_gets_past_it(operator: User, vm: VirtualMachine, make_vm: MakeVm) -> None:
    with pytest.raises(actions.ReasonRequired, match="its tag “production” wants a reason"):
        actions.reboot(operator, vm, reason=" ")
    asked = actions.request_each(operator, [vm, make_vm("free")], Action.REBOOT)
    assert [answer.operation is not None for answer in asked.answers] == [False, True]
    assert "Say why" in asked.answers[0].refusal
    assert actions.reboot(operator, vm, reason="new kernel").reason == "new kernel"


def test_run_asks_first_where_a_reason_is_wanted(
    log_in: LogIn, operator: User, make_vm: MakeVm, production: Tag
) -> None:
    vm = make_vm("db01", VmStatus.DOWN)
    client = log_in(operator, htmx=True)
    menu = reverse("vm_menu", args=[vm.pk])
    assert f'hx-post="{RUN}"' in client.get(menu).content.decode()
    vm.tags.add(production)
    assert f'hx-get="{RUN}"' in client.get(menu).content.decode()
    assert client.post(RUN, {"vm": str(vm.pk)}).status_code == 422
    once = reverse("vm_run_once")
    assert client.post(once, {"vm": str(vm.pk)}).status_code == 422
    assert client.get(reverse("vm_run_once_plan"), {"vm": str(vm.pk)}).status_code == 200
    assert not Operation.objects.exists()
