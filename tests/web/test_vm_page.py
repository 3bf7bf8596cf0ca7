"""The page of one VM: what each tab shows to whom, how much it asks the database, and that hidden VMs have none."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from tests.support.scene import LogIn, MakeOperation, MakeVm, pending, the_role
from vms import actions
from vms.domain.operation import Outcome
from vms.domain.power import VmStatus
from vms.engine import glimpses
from vms.engine.records import Code
from vms.hypervisor import png
from vms.models import Assignment, Event, Glimpse, Host, Operation, Role, Sample, Tag, VirtualMachine

TABS = ("vm_detail", "vm_operations", "vm_pending", "vm_events", "vm_permissions", "vm_definition")
PARTS = (
    "vm_header",
    "vm_facts",
    "vm_guest",
    "vm_usage",
    "vm_samples",
    "vm_operation_list",
    "vm_event_table",
    "vm_definition_text",
)


def page(name: str, vm: VirtualMachine) -> str:
    """Return the address of a tab, or a part of one."""
    return reverse(name, args=[vm.pk])


@pytest.fixture
def pia(db: None, vm: VirtualMachine) -> User:
    """Somebody who sees one VM alone."""
    user = User.objects.create_user("pia", password="a password")
    Assignment.objects.create(role=the_role("Viewer"), user=user, vm=vm)
    return user


@pytest.fixture
def hidden(make_vm: MakeVm) -> VirtualMachine:
    """A VM that she does not see."""
    return make_vm("secret01", host=Host.objects.create(name="kvm2", uri="qemu+ssh://kvm2/system"))


@pytest.mark.parametrize("name", [*TABS, *PARTS])
def test_each_address_is_there_for_a_vm_that_is_seen_and_for_no_other(
    log_in: LogIn, pia: User, vm: VirtualMachine, hidden: VirtualMachine, name: str
) -> None:
    client = log_in(pia)
    assert client.get(page(name, vm)).status_code == 200
    assert client.get(page(name, hidden)).status_code == 404
    assert client.post(page(name, vm)).status_code == 405
    client.logout()
    assert client.get(page(name, vm)).status_code == 302


@pytest.mark.parametrize("name", ["vm_operations", "vm_operation_list", "vm_events", "vm_event_table"])
def test_a_tab_that_somebody_may_not_see_is_not_there(
    log_in: LogIn, outsider: User, vm: VirtualMachine, name: str
) -> None:
    outsider.user_permissions.add(Permission.objects.get(codename="view_vm"))
    client = log_in(outsider)
    html = client.get(page("vm_detail", vm)).content.decode()
    assert page("vm_operations", vm) not in html
    assert page("vm_events", vm) not in html
    assert client.get(page(name, vm)).status_code in (403, 404)


def test_the_overview_tells_what_is_known(log_in: LogIn, viewer: User, make_vm: MakeVm) -> None:
    vm = make_vm(description="Serves <b>the</b> shop.", graceful_delay=90, **pending(memory=8 << 30))
    vm.tags.add(Tag.objects.create(name="shop"))
    html = log_in(viewer).get(vm.get_absolute_url()).content.decode()
    for told in ("web01", "on kvm1", "Up", "12 d", "shop", "90 s", "this VM", "portal default", "1 change waits"):
        assert told in html, told
    assert "Serves &lt;b&gt;the&lt;/b&gt; shop." in html
    assert "4 GiB" in html
    assert "<strong>8 GiB</strong>" in html


@pytest.mark.parametrize(
    ("status", "told"), [(VmStatus.GONE, "has it no more"), (VmStatus.NOT_RESPONDING, "cannot be reached")]
)
def test_what_is_old_is_said_to_be(log_in: LogIn, viewer: User, make_vm: MakeVm, status: VmStatus, told: str) -> None:
    assert told in log_in(viewer).get(make_vm(status=status).get_absolute_url()).content.decode()


def test_a_viewer_is_offered_no_control_and_an_operator_those_of_this_vm(
    log_in: LogIn, viewer: User, operator: User, vm: VirtualMachine
) -> None:
    seen = log_in(viewer).get(vm.get_absolute_url()).content.decode()
    assert "vm_toolbar_reboot" not in seen
    assert "vm_toolbar_more_button" not in seen
    used = log_in(operator).get(vm.get_absolute_url()).content.decode()
    assert 'id="vm_toolbar_reboot"' in used
    assert f'hx-vals=\'{{"vm": "{vm.pk}"}}\'' in used
    again = log_in(operator, htmx=True).get(reverse("vm_toolbar"), {"alone": "yes", "vm": str(vm.pk)})
    assert 'data-live="/vms/toolbar/?alone=yes"' in again.content.decode()


def test_a_page_without_rows_is_sent_none(log_in: LogIn, operator: User, make_vm: MakeVm) -> None:
    vm = make_vm(status=VmStatus.DOWN)
    asked = {"HX-Current-URL": f"http://testserver{vm.get_absolute_url()}"}
    response = log_in(operator, htmx=True).post("/vms/run/", {"vm": str(vm.pk)}, headers=asked)
    assert response.status_code == 200
    assert "vm_row_" not in response.content.decode()
    assert "portal:refresh" in response.headers["HX-Trigger"]


def test_each_operation_is_told_with_its_steps(
    log_in: LogIn, viewer: User, vm: VirtualMachine, make_vm: MakeVm, make_operation: MakeOperation
) -> None:
    operation = make_operation(vm, outcome=Outcome.FORCED, reason="new kernel")
    operation.steps.create(
        number=1, kind="ask_agent", at=timezone.now(), answered_at=timezone.now(), ok=False, detail="no <agent>"
    )
    other = make_operation(make_vm("db01"), outcome=Outcome.DONE)
    html = log_in(viewer).get(page("vm_operations", vm)).content.decode()
    for told in ("Reason: new kernel", "no &lt;agent&gt;", "failed", operation.get_absolute_url()):
        assert told in html, told
    assert other.get_absolute_url() not in html


def test_operations_are_paged(log_in: LogIn, viewer: User, vm: VirtualMachine, make_operation: MakeOperation) -> None:
    for _ in range(11):
        make_operation(vm, outcome=Outcome.DONE)
    client = log_in(viewer)
    assert client.get(page("vm_operations", vm)).content.decode().count("<details") == 10
    assert client.get(page("vm_operations", vm), {"page": 2}).content.decode().count("<details") == 1


def test_changes_are_taken_back_on_the_tab(log_in: LogIn, admin: User, make_vm: MakeVm) -> None:
    vm = make_vm(**pending(memory=8 << 30, vcpus=4))
    client = log_in(admin)
    html = client.get(page("vm_pending", vm)).content.decode()
    assert 'id="page_vm_pending_changes"' in html
    assert "?on_page=yes" in html
    response = client.post(reverse("vm_revert", args=[vm.pk]), {"part": "memory"}, follow=True)
    assert response.redirect_chain == [(page("vm_pending", vm), 302)]
    assert [change.part for change in response.context["row"].changes] == ["vcpus"]


def test_events_of_this_vm_alone_are_shown(log_in: LogIn, viewer: User, vm: VirtualMachine, make_vm: MakeVm) -> None:
    Event.objects.create(code=61, message="web01 went down.", vm=vm)
    Event.objects.create(code=61, message="db01 went down.", vm=make_vm("db01"))
    html = log_in(viewer).get(page("vm_events", vm)).content.decode()
    assert "web01 went down." in html
    assert "db01 went down." not in html
    assert f'data-live="{page("vm_event_table", vm)}"' in html


def test_who_may_do_what_is_listed_with_where_it_comes_from(
    log_in: LogIn, admin: User, pia: User, vm: VirtualMachine, hidden: VirtualMachine
) -> None:
    tag = Tag.objects.create(name="shop")
    vm.tags.add(tag)
    role = the_role("Operator")
    friends = Group.objects.create(name="friends")
    for place in ({"tag": tag}, {"host": vm.host}, {}):
        Assignment.objects.create(role=role, group=friends, **place)
    Assignment.objects.create(role=role, user=User.objects.create_user("nobody_here"), vm=hidden)
    User.objects.create_superuser("root")
    html = log_in(admin).get(page("vm_permissions", vm)).content.decode()
    for told in ("pia", "this virtual machine", "tag shop", "host kvm1", "the whole portal", "superuser", "friends"):
        assert told in html, told
    assert "the group’s own permissions" in html  # Administrator's, for example
    assert "nobody_here" not in html


def test_who_may_not_know_the_others_is_told_of_themselves(log_in: LogIn, pia: User, vm: VirtualMachine) -> None:
    response = log_in(pia).get(page("vm_permissions", vm))
    html = response.content.decode()
    assert "Can see virtual machines" in html
    assert response.context["grants"] is None
    assert 'id="vm_give_role"' not in html


def give(role: str, name: str, kind: str = "person") -> dict[str, Any]:
    """Return the form that gives a role."""
    return {"role": the_role(role).pk, "kind": kind, "name": name}


def test_a_role_is_given_and_taken_and_both_are_told(
    log_in: LogIn, admin: User, outsider: User, vm: VirtualMachine
) -> None:
    client = log_in(admin)
    for _ in range(2):  # a second time changes nothing
        response = client.post(page("vm_give_role", vm), give("Operator", "otto"))
        assert response.headers["Location"] == page("vm_permissions", vm)
    given = Assignment.objects.get(user=outsider)
    assert (given.vm, given.role.name) == (vm, "Operator")
    client.post(reverse("vm_take_role", args=[vm.pk, given.pk]))
    assert not Assignment.objects.filter(user=outsider).exists()
    told = Event.objects.filter(vm=vm).order_by("id").values_list("code", "actor_name", "message")
    assert list(told) == [
        (Code.ROLE_GIVEN, "ada", "Role Operator on web01 was given to person otto by ada."),
        (Code.ROLE_TAKEN, "ada", "Role Operator on web01 was taken from person otto by ada."),
    ]


def test_a_role_given_elsewhere_cannot_be_taken_here(
    log_in: LogIn, admin: User, outsider: User, vm: VirtualMachine, hidden: VirtualMachine
) -> None:
    role = the_role("Operator")
    for place in ({"vm": hidden}, {"host": vm.host}):
        elsewhere = Assignment.objects.create(role=role, user=outsider, **place)
        log_in(admin).post(reverse("vm_take_role", args=[vm.pk, elsewhere.pk]))
        assert Assignment.objects.filter(pk=elsewhere.pk).exists()


def test_nobody_gives_what_they_do_not_have_or_without_the_permission(
    log_in: LogIn, pia: User, outsider: User, vm: VirtualMachine, hidden: VirtualMachine
) -> None:
    client = log_in(pia)
    assert client.post(page("vm_give_role", vm), give("Viewer", "otto")).status_code == 403
    keeper = Role.objects.create(name="Keeper")
    keeper.verbs.set(Permission.objects.filter(codename__in=["add_assignment", "view_assignment"]))
    Assignment.objects.create(role=keeper, user=pia, vm=vm)
    response = client.post(page("vm_give_role", vm), give("Manager", "otto"))
    assert response.status_code == 422
    assert "Manager allows more than you may do on web01." in response.content.decode()
    assert client.post(page("vm_give_role", hidden), give("Viewer", "otto")).status_code == 404
    assert client.post(page("vm_give_role", vm), give("Viewer", "otto")).status_code == 302
    assert Assignment.objects.get(user=outsider).vm == vm


@pytest.mark.parametrize("sent", [{"name": "nobody"}, {"name": "otto", "kind": "group"}, {"name": ""}, {"role": "0"}])
def test_a_mistake_stands_at_its_field_and_nothing_typed_is_lost(
    log_in: LogIn, admin: User, outsider: User, vm: VirtualMachine, sent: dict[str, str]
) -> None:
    response = log_in(admin).post(page("vm_give_role", vm), give("Viewer", "otto") | sent)
    assert response.status_code == 422
    html = response.content.decode()
    assert "data-error-summary" in html
    assert f'value="{sent.get("name", "otto")}"' in html or not sent.get("name", "otto")
    assert not Assignment.objects.exists()


#: What each tab asks the database for an operator: the session, the person and their access are three.
QUERIES = {
    "vm_detail": 12,
    "vm_operations": 9,
    "vm_pending": 8,
    "vm_events": 8,
    "vm_permissions": 7,
    "vm_definition": 7,
}


@pytest.mark.parametrize("name", TABS)
def test_a_tab_asks_the_same_of_the_database_however_much_it_shows(
    log_in: LogIn,
    operator: User,
    make_vm: MakeVm,
    make_operation: MakeOperation,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    for kind in glimpses.EVERY:
        monkeypatch.setitem(glimpses.EVERY, kind, timedelta(hours=1))
    vm = make_vm(**pending(vcpus=4))
    client = log_in(operator)

    def asked() -> int:
        with CaptureQueriesContext(connection) as queries:
            assert client.get(page(name, vm)).status_code == 200
        return len(queries)

    def do_something() -> None:
        operation = make_operation(vm, outcome=Outcome.DONE)
        operation.steps.create(number=1, kind="start", at=timezone.now())
        Event.objects.create(code=61, message="It ended.", vm=vm, operation=operation)

    do_something()
    asked()  # the first one also marks that somebody looks
    few = asked()
    assert few == QUERIES[name]
    for _ in range(8):
        do_something()
    assert Operation.objects.count() == 9
    assert asked() == few


def test_the_permissions_tab_asks_the_same_however_many_there_are(
    log_in: LogIn, admin: User, vm: VirtualMachine
) -> None:
    client = log_in(admin)

    def asked() -> int:
        with CaptureQueriesContext(connection) as queries:
            client.get(page("vm_permissions", vm))
        return len(queries)

    def give_somebody(name: str) -> None:
        user = User.objects.create_user(name)
        user.user_permissions.add(Permission.objects.get(codename="view_vm"))
        actions.give_role(admin, vm, the_role("Operator"), user)

    give_somebody("one")
    few = asked()
    for number in range(5):
        give_somebody(f"u{number}")
    assert asked() == few


# What only the host knows.


def seen(vm: VirtualMachine, kind: str, **fields: Any) -> Glimpse:
    """Make a glimpse that a host has just told."""
    return Glimpse.objects.create(vm=vm, kind=kind, waits=False, **({"taken_at": timezone.now()} | fields))


def picture() -> dict[str, Any]:
    """Return the fields of a small screen."""
    return {"png": png.write(2, 1, b"\x00" * 6), "width": 2, "height": 1}


@pytest.mark.parametrize("name", ["vm_screen", "vm_screen_picture"])
def test_a_screen_is_shown_to_those_alone_who_may_use_the_console_of_this_vm(
    log_in: LogIn, pia: User, operator: User, vm: VirtualMachine, make_vm: MakeVm, name: str
) -> None:
    seen(vm, "screen", **picture())
    assert log_in(operator).get(page(name, vm)).status_code == 200
    assert log_in(pia).get(page(name, vm)).status_code == 403  # may use no console at all
    other = make_vm("db01")
    Assignment.objects.create(role=the_role("Operator"), user=pia, vm=other)
    client = log_in(User.objects.get(pk=pia.pk))
    assert client.get(page(name, vm)).status_code == 404
    assert "vm_screen" not in client.get(vm.get_absolute_url()).content.decode()


def test_a_picture_is_sent_as_nothing_but_a_picture_and_kept_by_nobody(
    log_in: LogIn, operator: User, vm: VirtualMachine
) -> None:
    client = log_in(operator)
    assert client.get(page("vm_screen_picture", vm)).status_code == 404
    seen(vm, "screen", **picture())
    response = client.get(page("vm_screen_picture", vm))
    assert response.content == picture()["png"]
    assert response.headers["Content-Type"] == "image/png"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert "no-store" in response.headers["Cache-Control"]


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({}, "The host is asked for a picture"),
        ({"error": "no <video>"}, "The host sends no picture: no &lt;video&gt;"),
        ({"taken_at": timezone.now(), "error": "away"}, "The host said since then: away"),
    ],
)
def test_a_screen_that_is_not_there_is_explained(
    log_in: LogIn, operator: User, vm: VirtualMachine, fields: dict[str, Any], told: str
) -> None:
    seen(vm, "screen", **({"taken_at": None} | fields))
    assert told in log_in(operator).get(page("vm_screen", vm)).content.decode()


def test_to_look_has_the_host_asked(log_in: LogIn, operator: User, make_vm: MakeVm) -> None:
    vm, down = make_vm(), make_vm("down01", VmStatus.DOWN)
    client = log_in(operator)
    client.get(vm.get_absolute_url())
    client.get(page("vm_definition", vm))
    client.get(down.get_absolute_url())
    assert set(Glimpse.objects.filter(waits=True).values_list("vm", "kind")) == {
        (vm.pk, "screen"),
        (vm.pk, "guest"),
        (vm.pk, "definition"),
    }


def test_the_guest_and_the_definition_are_told_as_text(log_in: LogIn, viewer: User, vm: VirtualMachine) -> None:
    seen(vm, "guest", facts={"system": "<i>Linux</i>", "addresses": ["192.0.2.7"]})
    seen(vm, "definition", text="<domain><script>alert(1)</script></domain>")
    client = log_in(viewer)
    html = client.get(page("vm_guest", vm)).content.decode()
    assert "192.0.2.7" in html
    assert "&lt;i&gt;Linux&lt;/i&gt;" in html
    assert "<script>alert" not in client.get(page("vm_definition", vm)).content.decode()


@pytest.fixture
def sampled(vm: VirtualMachine) -> VirtualMachine:
    """A VM of which three samples were taken, the last one after a gap."""
    now = timezone.now()
    for seconds, cpu, disk in ((100, 0.1, 1024), (90, 0.5, 3072), (10, 0.3, None)):
        Sample.objects.create(
            vm=vm, at=now - timedelta(seconds=seconds), resolution=10, cpu=cpu, disk_read=disk, memory=1 << 30
        )
    return vm


def test_charts_are_drawn_of_numbers_with_gaps(log_in: LogIn, viewer: User, sampled: VirtualMachine) -> None:
    drawn = log_in(viewer).get(page("vm_samples", sampled)).json()
    assert drawn["values"]["cpu"] == [0.1, 0.5, None, 0.3]
    assert drawn["values"]["disk_read"] == [1024, 3072, None, None]
    assert drawn["at"] == sorted(drawn["at"])
    assert drawn["to"] - drawn["from"] == 15 * 60
    hour = log_in(viewer).get(page("vm_samples", sampled), {"range": "1h"}).json()
    assert hour["to"] - hour["from"] == 60 * 60


def test_the_same_is_said_in_words(log_in: LogIn, viewer: User, sampled: VirtualMachine, make_vm: MakeVm) -> None:
    client = log_in(viewer)
    html = client.get(page("vm_usage", sampled)).content.decode()
    for told in ("30 %", "10 %", "50 %", "3.0", "Disk read"):
        assert told in html, told
    assert "Network sent" not in html  # nothing is known of it
    assert "No samples yet" in client.get(page("vm_usage", make_vm("new01"))).content.decode()
    assert "did not run" in client.get(page("vm_usage", make_vm("down01", VmStatus.DOWN))).content.decode()
