"""`login` and `logout`."""

from __future__ import annotations

from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from tests.support.scene import LogIn

LOGIN = reverse("login")


def test_the_right_password_leads_to_the_list(client: Client, viewer: User) -> None:
    response = client.post(LOGIN, {"username": "vera", "password": "a password"}, follow=True)
    assert response.redirect_chain == [(reverse("vm_list"), 302)]
    assert response.status_code == 200


def test_the_wrong_password_says_so_and_keeps_the_name(client: Client, viewer: User) -> None:
    response = client.post(LOGIN, {"username": "vera", "password": "wrong"})
    html = response.content.decode()
    assert "correct username and password" in html
    assert 'value="vera"' in html
    assert "_auth_user_id" not in client.session


def test_the_page_asked_for_comes_after_the_login_and_no_other_site(client: Client, viewer: User) -> None:
    sent = {"username": "vera", "password": "a password"}
    wanted = reverse("event_list")
    assert client.post(f"{LOGIN}?next={wanted}", sent | {"next": wanted}).headers["Location"] == wanted
    client.logout()
    response = client.post(LOGIN, sent | {"next": "https://elsewhere.example/"})
    assert response.headers["Location"] == reverse("vm_list")


def test_a_post_without_its_csrf_token_gets_the_portals_own_page(viewer: User) -> None:
    response = Client(enforce_csrf_checks=True).post(LOGIN, {"username": "vera", "password": "a password"})
    assert response.status_code == 403
    assert "data-message" in response.content.decode()


def test_logging_out_takes_a_post(log_in: LogIn, viewer: User) -> None:
    client = log_in(viewer)
    assert client.get(reverse("logout")).status_code == 405
    assert client.post(reverse("logout")).headers["Location"] == LOGIN
    assert client.get(reverse("vm_list")).status_code == 302
