"""`host_list` and `host_table`: the hosts, and what is wrong with those that cannot be reached."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from tests.support.scene import LogIn, MakeVm
from vms.domain.power import VmStatus
from vms.engine.records import Code, record
from vms.models import Host, VirtualMachine

LIST, TABLE = reverse("host_list"), reverse("host_table")


def test_hosts_tell_their_state_and_how_many_vms_they_have(
    log_in: LogIn, viewer: User, host: Host, make_vm: MakeVm
) -> None:
    make_vm("a")
    make_vm("b", VmStatus.GONE)
    Host.objects.create(name="kvm2", uri="test:///x", state=Host.State.UNREACHABLE, error="Connection refused")
    response = log_in(viewer).get(LIST)
    html = response.content.decode()
    for told in ("kvm1", "qemu:///system", "Connected", "kvm2", "Unreachable", "Connection refused"):
        assert told in html
    assert {each.name: each.vm_count for each in response.context["hosts"]} == {"kvm1": 1, "kvm2": 0}


@pytest.mark.behaviour(29)
def test_a_host_that_cannot_be_reached_says_what_to_do(log_in: LogIn, viewer: User) -> None:
    said = "Cannot recv data: root@kvm2: Permission denied (publickey).: Connection reset by peer"
    uri = "qemu+ssh://root@kvm2/system"
    Host.objects.create(name="kvm2", uri=uri, state=Host.State.UNREACHABLE, error=said)
    html = log_in(viewer).get(TABLE).content.decode()
    assert "Permission denied (publickey)" in html
    assert "ssh root@kvm2 virsh list" in html


def test_the_last_event_of_each_host_is_shown(log_in: LogIn, viewer: User, host: Host, vm: VirtualMachine) -> None:
    record(Code.HOST_DETECTED, "kvm1 answers again.", host=host)
    record(Code.VM_DOWN, "web01 went down.", vm=vm)
    html = log_in(viewer).get(TABLE).content.decode()
    assert "web01 went down." in html
    assert "answers again" not in html


def test_only_who_may_is_offered_changes(log_in: LogIn, viewer: User, admin: User, host: Host) -> None:
    addresses = [reverse("host_add"), reverse("host_edit", args=[host.pk]), reverse("host_remove", args=[host.pk])]
    for address in addresses:
        assert address in log_in(admin).get(LIST).content.decode()
        assert address not in log_in(viewer).get(LIST).content.decode()


def test_a_host_that_nobody_watches_says_so(log_in: LogIn, viewer: User, host: Host) -> None:
    Host.objects.update(watched_until=timezone.now() - timedelta(minutes=1))
    assert "Is the watcher running?" in log_in(viewer).get(TABLE).content.decode()


def test_a_portal_without_hosts_says_what_to_do(log_in: LogIn, viewer: User) -> None:
    assert "register_host" in log_in(viewer).get(LIST).content.decode()


def test_an_outsider_is_forbidden(log_in: LogIn, outsider: User) -> None:
    assert log_in(outsider).get(LIST).status_code == 403


def test_nobody_is_sent_to_the_login_page(client: Client, db: None) -> None:
    assert client.get(LIST).headers["Location"].startswith(reverse("login"))


def test_the_page_costs_a_constant_number_of_queries(
    log_in: LogIn, viewer: User, django_assert_num_queries: Any
) -> None:
    client, made = log_in(viewer), 0
    for count in (2, 20):
        for number in range(made, count):
            Host.objects.create(name=f"h{number}", uri=f"test:///{number}")
        made = count
        with django_assert_num_queries(4):
            client.get(LIST)
