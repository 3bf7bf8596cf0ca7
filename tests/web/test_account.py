"""`account`: one's own notices and password."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from tests.support.scene import LogIn
from vms import actions
from vms.domain import notice
from vms.domain.operation import Outcome
from vms.models import Subscription, Tag, VirtualMachine

URL = reverse("account")
PASSWORD = reverse("change_password")


@pytest.fixture
def tag(vm: VirtualMachine) -> Tag:
    """A tag that a VM bears."""
    tag = Tag.objects.create(name="production")
    vm.tags.add(tag)
    return tag


def chosen(user: User) -> set[tuple[int | None, str]]:
    """Return what somebody has asked to be told."""
    return set(Subscription.objects.filter(user=user).values_list("tag", "outcome"))


def test_everybody_chooses_outcomes_for_any_vm_and_for_each_tag(log_in: LogIn, viewer: User, tag: Tag) -> None:
    client = log_in(viewer)
    html = client.get(URL).content.decode()
    for told in ("All virtual machines", "Tag production", "Failed", "Gave up", "Forced"):
        assert told in html
    sent = {"email": "vera@example.org", "all-failed": "on", f"{tag.pk}-gave_up": "on", f"{tag.pk}-forced": "on"}
    response = client.post(URL, sent, follow=True)
    assert "Your notices were saved." in response.content.decode()
    viewer.refresh_from_db()
    assert viewer.email == "vera@example.org"
    wanted = {(None, Outcome.FAILED), (tag.pk, Outcome.GAVE_UP), (tag.pk, Outcome.FORCED)}
    assert chosen(viewer) == wanted
    form = client.get(URL).context["form"]
    ticked = {name for name, field in form.fields.items() if field.initial is True}
    assert ticked == {"all-failed", f"{tag.pk}-gave_up", f"{tag.pk}-forced"}


def test_what_is_unticked_is_no_longer_told(log_in: LogIn, viewer: User, admin: User) -> None:
    for user in (viewer, admin):
        Subscription.objects.create(user=user, outcome=Outcome.FAILED)
    log_in(viewer).post(URL, {"email": ""})
    assert chosen(viewer) == set()
    assert chosen(admin) == {(None, Outcome.FAILED)}, "another person's wishes are not touched"


@pytest.mark.parametrize(
    ("sent", "sentence"),
    [
        ({"email": "", "all-failed": "on"}, "Enter an address, or untick everything."),
        ({"email": "vera@", "all-failed": "on"}, "Enter a valid email address."),
    ],
)
def test_an_address_is_needed_and_must_be_one(log_in: LogIn, viewer: User, sent: dict[str, str], sentence: str) -> None:
    response = log_in(viewer).post(URL, sent)
    assert response.status_code == 422
    assert response.content.decode().count(sentence) == 2
    assert chosen(viewer) == set()


def test_the_page_says_that_mail_is_off(log_in: LogIn, viewer: User, settings: object) -> None:
    client = log_in(viewer)
    assert "Mail is off" in client.get(URL).content.decode()
    settings.PORTAL_MAILS = True  # type: ignore[attr-defined]
    assert "Mail is off" not in client.get(URL).content.decode()


def test_the_page_says_that_one_may_see_no_vm(log_in: LogIn, outsider: User, viewer: User, settings: object) -> None:
    settings.PORTAL_MAILS = True  # type: ignore[attr-defined]
    assert "You may not see virtual machines" in log_in(outsider).get(URL).content.decode()
    assert "You may not see virtual machines" not in log_in(viewer).get(URL).content.decode()


def test_the_user_menu_leads_there(log_in: LogIn, viewer: User) -> None:
    assert f'href="{URL}"' in log_in(viewer).get(reverse("vm_list")).content.decode()


def test_looking_changes_nothing(log_in: LogIn, viewer: User) -> None:
    log_in(viewer).get(URL, {"email": "x@example.org", "all-failed": "on"})
    viewer.refresh_from_db()
    assert (viewer.email, chosen(viewer)) == ("", set())


def test_nobody_is_sent_to_the_login_page(client: Client, db: None) -> None:
    for url in (URL, PASSWORD):
        assert client.post(url, {}).headers["Location"].startswith(reverse("login"))


def test_a_post_without_its_csrf_token_is_refused(log_in: LogIn, viewer: User) -> None:
    client = log_in(viewer, enforce_csrf_checks=True)
    assert client.post(URL, {"email": "vera@example.org"}).status_code == 403
    assert client.post(PASSWORD, {}).status_code == 403


def test_the_password_is_changed_and_this_session_stays(log_in: LogIn, viewer: User) -> None:
    client = log_in(viewer)
    sent = {"old_password": "a password", "new_password1": "horse battery", "new_password2": "horse battery"}
    response = client.post(PASSWORD, sent, follow=True)
    assert "Your password was changed." in response.content.decode()
    viewer.refresh_from_db()
    assert viewer.check_password("horse battery")
    assert client.get(URL).status_code == 200


def test_the_old_password_is_needed_and_a_weak_one_is_refused(log_in: LogIn, viewer: User) -> None:
    client = log_in(viewer)
    sent = {"old_password": "wrong", "new_password1": "horse battery", "new_password2": "horse battery"}
    assert "old_password" in client.post(PASSWORD, sent).context["form"].errors
    sent = {"old_password": "a password", "new_password1": "12345", "new_password2": "12345"}
    assert "new_password2" in client.post(PASSWORD, sent).context["form"].errors
    viewer.refresh_from_db()
    assert viewer.check_password("a password")


def test_only_outcomes_that_are_notices_can_be_asked_for(viewer: User) -> None:
    with pytest.raises(ValueError, match="nobody is mailed"):
        actions.subscribe(viewer, "vera@example.org", {None: [Outcome.DONE]})
    assert set(notice.OUTCOMES) == {Outcome.FAILED, Outcome.GAVE_UP, Outcome.FORCED}
