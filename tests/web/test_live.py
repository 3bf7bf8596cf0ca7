"""Who listens to the stream, what each of them is told, and what is kept for those who are slow."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

import pytest
from django.contrib.auth.models import Group, User
from django.contrib.sessions.models import Session
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from tests.support.scene import LogIn, MakeVm, the_role
from vms import queries
from vms.engine.changes import OPERATIONS
from vms.live import viewers
from vms.live.hub import Hub
from vms.live.listener import ALL, MOST, Frame, Listener
from vms.live.rendering import render
from vms.live.viewers import Viewer
from vms.models import Assignment, Operation, Tag

Listen = Callable[[User], Viewer]


@pytest.fixture
def listen(log_in: LogIn) -> Listen:
    """Log somebody in, and have them listen."""

    def find(user: User) -> Viewer:
        cookies = "; ".join(f"{name}={morsel.value}" for name, morsel in log_in(user).cookies.items())
        viewer = viewers.find({"cookie": cookies})
        assert viewer is not None
        return viewer

    return find


def taken(listener: Listener) -> Frame | None:
    """Take what a listener has not been told yet."""
    return asyncio.run(listener.take(0.01))


def test_people_of_a_kind_are_shown_the_same_and_others_are_not(
    listen: Listen, admin: User, operator: User, viewer: User, make_vm: MakeVm
) -> None:
    colleague = User.objects.create_user("olga")
    colleague.groups.set(operator.groups.all())
    assert listen(operator).kind == listen(colleague).kind
    assert len({listen(person).kind for person in (admin, operator, viewer)}) == 3
    Assignment.objects.create(role=the_role("Viewer"), user=colleague, vm=make_vm())
    assert listen(operator).kind != listen(colleague).kind


def test_who_has_a_role_on_a_tag_is_told_of_its_vms_only(listen: Listen, outsider: User, make_vm: MakeVm) -> None:
    seen, hidden = make_vm("seen"), make_vm("hidden")
    tag = Tag.objects.create(name="mine")
    seen.tags.add(tag)
    Assignment.objects.create(role=the_role("Viewer"), user=outsider, tag=tag)
    listener = listen(outsider)
    assert not listener.sees_all
    assert list(render([seen.pk, hidden.pk], set(), listener)) == [f"vm_row_{seen.pk}"]


def test_the_strip_is_brought_when_operations_change(listen: Listen, viewer: User, make_vm: MakeVm) -> None:
    vm = make_vm()
    assert set(render([vm.pk], {OPERATIONS}, listen(viewer))) == {f"vm_row_{vm.pk}", "operation_strip"}


def _log_out(viewer: Viewer) -> None:
    Session.objects.filter(pk=viewer.session).delete()


def _expire(viewer: Viewer) -> None:
    Session.objects.filter(pk=viewer.session).update(expire_date=timezone.now() - timedelta(seconds=1))


def _deactivate(viewer: Viewer) -> None:
    User.objects.filter(pk=viewer.user.pk).update(is_active=False)


def _change_password(viewer: Viewer) -> None:
    user = User.objects.get(pk=viewer.user.pk)
    user.set_password("another password")
    user.save()


def _withdraw(viewer: Viewer) -> None:
    viewer.user.groups.clear()


@pytest.mark.parametrize("happens", [_log_out, _expire, _deactivate, _change_password, _withdraw])
def test_who_may_listen_no_more_is_found_out(
    listen: Listen, viewer: User, admin: User, happens: Callable[[Viewer], None]
) -> None:
    stays, goes = listen(admin), listen(viewer)
    happens(goes)
    assert viewers.again([stays, goes]) == {stays: stays, goes: None}


def test_looking_again_costs_the_same_however_many_listen(listen: Listen, viewer: User) -> None:
    def cost(listening: list[Viewer]) -> int:
        with CaptureQueriesContext(connection) as captured:
            assert None not in viewers.again(listening).values()
        return len(captured)

    few = [listen(viewer)]
    many = []
    for number in range(20):
        person = User.objects.create_user(f"person{number}")
        person.groups.set(Group.objects.filter(name="Viewer"))
        many.append(listen(person))
    assert cost(many) == cost(few)


def test_what_is_not_taken_is_kept_as_its_newest_state(listen: Listen, viewer: User) -> None:
    listener = Listener(listen(viewer), lost=False)
    first = taken(listener)
    assert first is not None
    assert json.loads(first.as_json()) == {"parts": {}, "topics": [ALL], "lost": False}
    listener.offer({"a": '"old"', "b": '"kept"'}, {"vms"})
    listener.offer({"a": '"new"'}, {"events"})
    then = taken(listener)
    assert then is not None
    assert json.loads(then.as_json()) == {"parts": {"a": "new", "b": "kept"}, "topics": ["events", "vms"]}
    assert taken(listener) is None


@pytest.mark.parametrize("what", ["parts", "topics"])
def test_who_is_too_slow_is_to_read_the_page_again(listen: Listen, viewer: User, what: str) -> None:
    listener = Listener(listen(viewer), lost=False)
    taken(listener)
    for number in range(10 * MOST):
        listener.offer({f"row{number}": '""'} if what == "parts" else {}, {f"vm:{number}"} if what == "topics" else ())
    frame = taken(listener)
    assert frame is not None
    assert (frame.parts, frame.topics) == ({}, {ALL})


def test_whom_other_things_are_shown_now_reads_the_page_again(listen: Listen, viewer: User, admin: User) -> None:
    now, before = listen(admin), listen(viewer)
    listener = Listener(before, lost=False)
    taken(listener)
    listener.become(before)
    assert taken(listener) is None
    listener.become(now)
    frame = taken(listener)
    assert frame is not None
    assert frame.topics == {ALL}
    listener.become(None)
    assert listener.dismissed.is_set()


def test_nothing_is_missed_by_who_becomes_another_while_rows_are_rendered(
    listen: Listen, viewer: User, admin: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, now = listen(viewer), listen(admin)

    async def hand_out() -> Frame | None:
        hub = Hub()
        listener = Listener(before, lost=False)
        await listener.take(0.01)
        hub._listeners.add(listener)

        def becomes_another(*_: object) -> dict[str, str]:
            listener.viewer = now
            return {"row": '"for another"'}

        monkeypatch.setattr("vms.live.hub.render", becomes_another)
        await hub._tell({UUID(int=1)}, set())
        await hub.close()
        return await listener.take(0.01)

    frame = asyncio.run(hand_out())
    assert frame is not None
    assert (frame.parts, frame.topics) == ({}, {ALL})


def test_the_list_orders_the_fleet_and_finds_what_runs_by_indexes_alone(admin: User) -> None:
    listed = queries.shown_vms(admin).order_by("memory", "name", "id").values("pk")
    if connection.vendor == "sqlite":  # PostgreSQL reads a table that is as small as here from its beginning
        assert "COVERING INDEX vm_listed" in listed.explain()
        assert "SCAN" not in Operation.objects.in_flight().order_by("created_at", "id").explain()
