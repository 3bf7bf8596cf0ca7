"""Tokens of the API: their secrets, and how long they are good."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from vms.domain.api_tokens import (
    LIFETIMES,
    NOTED_EVERY,
    SESSION_IDLE,
    SESSION_LONGEST,
    binding,
    digest_of,
    is_worth_noting,
    new_secret,
    session_end,
)

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


def test_a_secret_is_long_and_safe_in_headers_forms_and_shells() -> None:
    made = {new_secret() for _ in range(100)}
    assert len(made) == 100
    # 43 characters of six bits each hold the 256 bits.
    assert all(re.fullmatch(r"vmp_[A-Za-z0-9_-]{43}", secret) for secret in made)


def test_a_digest_tells_secrets_apart_and_takes_any_text() -> None:
    assert digest_of("vmp_a") == digest_of("vmp_a") != digest_of("vmp_b")
    assert re.fullmatch("[0-9a-f]{64}", digest_of("pässword\0 €"))


def test_a_binding_changes_with_the_salt_alone_and_is_no_digest_of_a_secret() -> None:
    assert binding("md5$salt$hash") == binding("md5$salt$hash") != binding("md5$other$hash")
    assert binding("x") != digest_of("x")


def test_a_session_ends_when_nobody_uses_it_and_in_any_case() -> None:
    longest = NOON + SESSION_LONGEST
    assert session_end(NOON, longest) == NOON + SESSION_IDLE
    assert session_end(longest - timedelta(minutes=5), longest) == longest


def test_an_idle_session_outlives_half_an_hour_though_its_use_is_noted_late() -> None:
    assert timedelta(minutes=30) <= SESSION_IDLE - NOTED_EVERY


def test_use_is_noted_at_first_and_then_once_a_minute() -> None:
    assert is_worth_noting(None, NOON)
    assert not is_worth_noting(NOON, NOON + timedelta(seconds=59))
    assert is_worth_noting(NOON, NOON + timedelta(seconds=60))


def test_every_token_expires() -> None:
    assert sorted(LIFETIMES) == list(LIFETIMES)
    assert LIFETIMES[0] > 0
    assert LIFETIMES[-1] <= 3 * 365
