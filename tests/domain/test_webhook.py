"""Webhooks: where they may post to, how they sign, and when they are tried again."""

from __future__ import annotations

import hashlib
import hmac
from datetime import timedelta

import pytest

from vms.domain import webhook
from vms.domain.webhook import WebhookError


@pytest.mark.parametrize(
    ("url", "host", "port", "path", "tls"),
    [
        ("https://hooks.example.org", "hooks.example.org", 443, "/", True),
        ("https://hooks.example.org:8443/a/b?c=d", "hooks.example.org", 8443, "/a/b?c=d", True),
        ("http://192.0.2.7/", "192.0.2.7", 80, "/", False),
        ("http://[2001:db8::7]:81/x", "2001:db8::7", 81, "/x", False),
        ("https://HOOKS.example.org?x", "hooks.example.org", 443, "/?x", True),
    ],
)
def test_a_url_is_taken_apart(url: str, host: str, port: int, path: str, tls: bool) -> None:
    target = webhook.target(url)
    assert (target.host, target.port, target.path, target.tls) == (host, port, path, tls)


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("", "malformed"),
        ("hooks.example.org", "scheme"),
        ("ftp://hooks.example.org/", "scheme"),
        ("file:///etc/passwd", "scheme"),
        ("https://", "host"),
        ("https:///path", "host"),
        ("https://-x/", "host"),
        ("https://user:secret@hooks.example.org/", "login"),
        ("https://127.0.0.1@hooks.example.org/", "login"),
        ("https://hooks.example.org:0/", "malformed"),
        ("https://hooks.example.org:70000/", "malformed"),
        ("https://[::1/", "malformed"),
        ("https://hooks.example.org/ x", "malformed"),
        ("https://hooks.example.org/\r\nHost: other", "malformed"),
        ("https://hooks.example.org/#part", "malformed"),
        ("https://häuser.example.org/", "malformed"),
        ("https://hooks.example.org/" + "x" * 500, "too_long"),
    ],
)
def test_what_is_not_a_url_to_post_to_is_refused_with_the_reason(url: str, code: str) -> None:
    with pytest.raises(WebhookError) as refused:
        webhook.target(url)
    assert refused.value.code == code


@pytest.mark.parametrize("address", ["93.184.215.14", "2606:2800:21f:cb07::1", "64:ff9b::5db8:d70e"])
def test_addresses_of_the_internet_are_posted_to(address: str) -> None:
    assert webhook.may_connect(address, private=False)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.8.9.10",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "::1",
        "fe80::1",
        "fe80::1%eth0",
        "fc00::1",
        "fec0::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "::7f00:1",
        "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe",
        "2002:7f00:1::",
        "2002:c0a8:101::1",
    ],
)
def test_addresses_within_are_posted_to_only_where_that_is_allowed(address: str) -> None:
    assert not webhook.may_connect(address, private=False)
    assert webhook.may_connect(address, private=True)


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "::ffff:0.0.0.0", "224.0.0.1", "ff02::1"])
def test_addresses_of_nobody_or_many_are_never_posted_to(address: str) -> None:
    assert not webhook.may_connect(address, private=True)


def test_the_signature_is_over_the_moment_and_the_body() -> None:
    expected = hmac.new(b"whsec_x", b'1700000000.{"a": 1}', hashlib.sha256).hexdigest()
    assert webhook.signature("whsec_x", 1700000000, b'{"a": 1}') == f"t=1700000000,v1={expected}"
    others = [("whsec_y", 1700000000, b'{"a": 1}'), ("whsec_x", 1700000001, b'{"a": 1}'), ("whsec_x", 1700000000, b"")]
    assert all(expected not in webhook.signature(*other) for other in others)


def test_no_secret_is_like_another() -> None:
    made = {webhook.new_secret() for _ in range(100)}
    assert len(made) == 100
    assert all(len(secret) > 40 for secret in made)


@pytest.mark.parametrize(
    ("codes", "least", "code", "severity", "chosen"),
    [
        ((), "normal", 61, "normal", True),
        ((), "warning", 61, "normal", False),
        ((), "warning", 61, "error", True),
        ((61, 33), "normal", 61, "normal", True),
        ((33,), "normal", 61, "normal", False),
        ((61,), "error", 61, "warning", False),
    ],
)
def test_events_are_chosen_by_code_and_severity(
    codes: tuple[int, ...], least: str, code: int, severity: str, chosen: bool
) -> None:
    assert webhook.chooses(codes, least, code, severity) is chosen


def test_attempts_grow_apart_and_many_fit_before_it_is_given_up() -> None:
    gaps = [webhook.retry_gap(failures) for failures in range(1, 60)]
    assert gaps == sorted(gaps)
    assert (gaps[0], gaps[-1]) == (timedelta(minutes=1), timedelta(hours=1))
    assert sum(gaps, timedelta(0)) < webhook.GIVE_UP_AFTER
