"""The list's search: chips, counts, tags, and all that match; and the actions on these."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from django.contrib.auth.models import User
from django.urls import reverse
from django.utils import timezone

from tests.support.scene import LogIn, MakeOperation, MakeVm, the_role
from vms.domain.operation import Outcome
from vms.domain.power import Action, VmStatus
from vms.models import Assignment, Bulk, Operation, Tag, VirtualMachine
from vms.web import selection

LIST, BOARD, TOOLBAR = reverse("vm_list"), reverse("vm_board"), reverse("vm_toolbar")
REBOOT, POWER_OFF, RUN = (reverse("vm_action", args=[each]) for each in (Action.REBOOT, Action.POWER_OFF, Action.RUN))
UP = urlencode({"filter": "web*", "status": "up"})


def confirmed(html: str) -> dict[str, str]:
    """Return what a confirmation carries of what it showed."""
    return dict(
        re.findall(r'<input type="hidden" name="(match|confirmed)" value="([^"]*)">', html.replace("&amp;", "&"))
    )


@pytest.fixture
def web(make_vm: MakeVm) -> list[VirtualMachine]:
    """Sixty VMs that the filter finds, on two pages; and two that it does not."""
    make_vm("db01")
    make_vm("web99", VmStatus.DOWN)
    return [make_vm(f"web{number:02}") for number in range(60)]


def test_each_part_of_the_filter_is_a_chip_that_can_be_removed(
    log_in: LogIn, viewer: User, make_vm: MakeVm, django_assert_max_num_queries: Any
) -> None:
    tag = Tag.objects.create(name="front office")
    make_vm("web01").tags.add(tag)
    make_vm("web02")
    make_vm("db01").tags.add(tag)
    client = log_in(viewer)
    with django_assert_max_num_queries(10):
        response = client.get(LIST, {"filter": 'web* tag="front office"', "status": "up", "sort": "-cpu", "page": "1"})
    html = response.content.decode()
    assert [row.vm.name for row in response.context["board"].rows] == ["web01"]
    assert "<b>1</b> of <b>3</b> matches" in html
    removing = [link.replace("&amp;", "&") for link in re.findall(r'portal-chips__remove" href="([^"]*)"', html)]
    found = [[row.vm.name for row in client.get(link).context["board"].rows] for link in removing]
    assert found == [["db01", "web01"], ["web01", "web02"], ["web01"]]
    assert all("sort=-cpu" in link and "page" not in link for link in removing)
    # The tag in the row leads to all that bear it.
    (link,) = re.findall(r'<a class="[^"]*portal-tag" href="([^"]*)"', html)
    assert [row.vm.name for row in client.get(link).context["board"].rows] == ["db01", "web01"]


def test_a_filter_that_makes_no_sense_keeps_what_was_typed(log_in: LogIn, viewer: User, vm: VirtualMachine) -> None:
    html = log_in(viewer).get(LIST, {"filter": 'colour=red name="web', "status": "up"}).content.decode()
    assert 'value="colour=red name=&quot;web"' in html
    assert 'aria-describedby="vm_filter_error"' in html
    assert '<option value="up" selected>' in html


def test_all_that_match_are_offered_when_there_is_more_than_a_page(
    log_in: LogIn, operator: User, web: list[VirtualMachine], django_assert_max_num_queries: Any
) -> None:
    client = log_in(operator)
    assert "Select all 60 that match" in client.get(f"{LIST}?{UP}").content.decode()
    assert "data-select-match" not in client.get(LIST, {"filter": "db*"}).content.decode()
    with django_assert_max_num_queries(5):  # none of them is looked at
        response = client.get(TOOLBAR, {"match": UP})
    assert "All 60 that match are selected" in response.content.decode()
    controls = {control.key: control for group in response.context["toolbar"] for control in group}
    assert controls["reboot"].why_not == ""
    assert controls["run"].method == "dialog"  # so many are not started in passing


def test_an_action_on_all_that_match_carries_the_filter_and_answers_for_each(
    log_in: LogIn, operator: User, web: list[VirtualMachine]
) -> None:
    client = log_in(operator, htmx=True)
    html = client.get(REBOOT, {"match": UP}).content.decode()
    assert "Reboot 60 virtual machines?" in html
    assert 'name="vm"' not in html
    response = client.post(REBOOT, confirmed(html) | {"reason": "new kernel"})
    assert response.status_code == 200
    assert Bulk.objects.get().asked_for == 60
    assert set(Operation.objects.values_list("vm", "reason")) == {(vm.pk, "new kernel") for vm in web}
    assert "vm_row_" not in response.content.decode()  # most of them are on no page; the list is read again


def test_what_has_changed_since_the_confirmation_is_left_alone_and_said(
    log_in: LogIn, operator: User, web: list[VirtualMachine], make_vm: MakeVm
) -> None:
    client = log_in(operator, htmx=True)
    sent = confirmed(client.get(POWER_OFF, {"match": UP}).content.decode())
    gone, others = web[0], web[1:]
    VirtualMachine.objects.filter(pk=gone.pk).update(status=VmStatus.DOWN)
    make_vm("web-new")
    # The number that is typed is that of what is still to be done.
    assert client.post(POWER_OFF, sent | {"count": "60"}).status_code == 422
    response = client.post(POWER_OFF, sent | {"count": "59"})
    assert response.status_code == 200
    html = response.content.decode()
    assert "Power off: 59 of 61 accepted" in html
    assert "web00 was left alone: it does not match the filter any more." in html
    assert "web-new was left alone: it matches the filter only since you were asked." in html
    assert {vm for (vm,) in Operation.objects.values_list("vm")} == {vm.pk for vm in others}


def test_nothing_is_done_that_was_not_confirmed(log_in: LogIn, operator: User, web: list[VirtualMachine]) -> None:
    client = log_in(operator, htmx=True)
    for without in ({}, {"confirmed": ""}, {"confirmed": "AAAA"}, {"confirmed": "no base64 ü"}):
        assert client.post(REBOOT, {"match": UP} | without).status_code == 400
    assert client.get(REBOOT, {"match": "filter=colour%3Dred"}).status_code == 400
    assert client.get(REBOOT, {"match": "filter=nobody"}).status_code == 400
    # All of them have changed: nothing comes of it, and every one is named.
    sent = confirmed(client.get(REBOOT, {"match": UP}).content.decode())
    VirtualMachine.objects.update(status=VmStatus.PAUSED)
    response = client.post(REBOOT, sent)
    assert response.status_code == 409
    assert response.content.decode().count("does not match the filter any more") == 60
    assert not Operation.objects.exists()


def test_what_is_hidden_is_not_found_and_what_is_forbidden_is_left_alone(
    log_in: LogIn, viewer: User, web: list[VirtualMachine]
) -> None:
    role = the_role("Operator")
    for vm in web[:2]:
        Assignment.objects.create(user=viewer, role=role, vm=vm)
    client = log_in(viewer, htmx=True)
    html = client.get(REBOOT, {"match": UP}).content.decode()
    assert "You do not have the permission for this on web02." in html
    assert client.post(REBOOT, confirmed(html)).status_code == 200
    assert {vm for (vm,) in Operation.objects.values_list("vm")} == {vm.pk for vm in web[:2]}
    assert client.get(RUN, {"match": "filter=db01"}).status_code == 403
    viewer.groups.clear()  # now only these two are seen at all
    html = log_in(viewer, htmx=True).get(POWER_OFF, {"match": "filter=web*"}).content.decode()
    assert "Power off 2 virtual machines?" in html
    assert "web02" not in html


def test_too_many_are_refused_with_what_to_do(
    log_in: LogIn, operator: User, web: list[VirtualMachine], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(selection, "MOST_MATCHING", 59)
    monkeypatch.setattr("vms.web.vm_list.MOST_MATCHING", 59)
    client = log_in(operator, htmx=True)
    sentence = "More than 59 virtual machines match. Narrow the filter, and act on fewer at a time."
    assert sentence in client.get(TOOLBAR, {"match": UP}).content.decode()
    response = client.get(REBOOT, {"match": UP})
    assert response.status_code == 409
    assert sentence in response.content.decode()
    assert not Operation.objects.exists()


def test_what_ended_lately_stands_in_the_strip_and_costs_no_query(
    log_in: LogIn, viewer: User, make_vm: MakeVm, make_operation: MakeOperation, django_assert_num_queries: Any
) -> None:
    client = log_in(viewer)
    make_operation(make_vm("busy", VmStatus.REBOOT_IN_PROGRESS))
    with django_assert_num_queries(9):
        client.get(BOARD)
    ended = [make_operation(make_vm(f"done{number}"), outcome=Outcome.DONE) for number in range(5)]
    long_ago = timezone.now() - timedelta(hours=1)
    Operation.objects.filter(pk=ended[4].pk).update(ended_at=long_ago)
    with django_assert_num_queries(9):
        strip = client.get(BOARD).context["board"].strip
    assert [operation.vm.name for operation in strip.recent] == ["done3", "done2", "done1"]
    assert (strip.running_count, len(strip.running)) == (1, 1)
