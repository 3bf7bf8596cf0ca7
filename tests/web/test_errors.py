"""The pages of requests that fail: what happened, what to do, and a way out, under the same policy as every page."""

from __future__ import annotations

import re

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from tests.support.scene import LogIn

pytestmark = pytest.mark.urls("tests.screens.urls")


@pytest.mark.parametrize("status", [400, 403, 404, 500, 503])
def test_an_error_says_what_to_do_and_runs_nothing_inline(db: None, status: int) -> None:
    client = Client(raise_request_exception=False)
    answer = client.get("/nothing/here/" if status == 404 else reverse("fails", args=[status]))
    assert answer.status_code == status
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    html = answer.content.decode()
    assert re.search(r"<p [^>]*data-message>[A-Z][^<]{20,}</p>", html)
    assert f">{status}</p>" in html
    assert '<a class="pf-v6-c-button pf-m-primary" href="/">' in html
    assert not re.search(r"<[^>]+\s(style|on[a-z]+)=", html)
    assert not re.search(r"<script(?![^>]*\ssrc=)", html)


def test_a_form_whose_token_is_gone_says_so() -> None:
    answer = Client(enforce_csrf_checks=True).post(reverse("login"), {"username": "ada", "password": "a password"})
    assert answer.status_code == 403
    assert "The form has expired" in answer.content.decode()


def test_who_was_given_nothing_finds_the_way_to_log_out(log_in: LogIn, outsider: User) -> None:
    client = log_in(outsider)
    refused = client.get(reverse("vm_list"))
    assert refused.status_code == 403
    assert f'href="{reverse("account")}"' in refused.content.decode()
    assert f'action="{reverse("logout")}"' in client.get(reverse("account")).content.decode()
