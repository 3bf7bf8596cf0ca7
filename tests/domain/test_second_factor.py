"""Codes of authenticator apps, recovery codes, and how guessing is slowed down."""

from __future__ import annotations

import base64
from datetime import timedelta

import pytest

from vms.domain import guessing, second_factor

SECRET = base64.b32encode(b"12345678901234567890").decode()
NOW = 1_111_111_109.0
INTERVAL = second_factor.interval_at(NOW)


@pytest.mark.parametrize(
    ("moment", "code"),
    [
        (59, "94287082"),
        (1111111109, "07081804"),
        (1111111111, "14050471"),
        (1234567890, "89005924"),
        (2000000000, "69279037"),
        (20000000000, "65353130"),
    ],
)
def test_codes_are_those_of_rfc_6238(moment: int, code: str) -> None:
    assert second_factor.code_of(SECRET, second_factor.interval_at(moment)) == code[-second_factor.DIGITS :]


@pytest.mark.parametrize(("off", "good"), [(-2, False), (-1, True), (0, True), (1, True), (2, False)])
def test_a_clock_may_be_half_a_minute_off(off: int, good: bool) -> None:
    code = second_factor.code_of(SECRET, INTERVAL + off)
    assert second_factor.matching_interval(SECRET, code, NOW) == (INTERVAL + off if good else None)


def test_no_code_is_good_twice_nor_one_before_it() -> None:
    now, before = (second_factor.code_of(SECRET, interval) for interval in (INTERVAL, INTERVAL - 1))
    for code in (now, before):
        assert second_factor.matching_interval(SECRET, code, NOW, after=INTERVAL) is None


@pytest.mark.parametrize("typed", ["", "12345", "²²²²²²", "abcdef", "0" * 32])
def test_what_is_no_code_is_not_good(typed: str) -> None:
    assert second_factor.matching_interval(SECRET, typed, NOW) is None


def test_spaces_do_not_count() -> None:
    code = second_factor.code_of(SECRET, INTERVAL)
    assert second_factor.matching_interval(SECRET, f" {code[:3]} {code[3:]} ", NOW) == INTERVAL


def test_the_app_reads_whose_codes_they_are() -> None:
    uri = second_factor.app_uri(SECRET, "vera & co", "VM Portal")
    assert uri == f"otpauth://totp/VM%20Portal%3Avera%20%26%20co?secret={SECRET}&issuer=VM%20Portal"


def test_secrets_and_recovery_codes_differ_and_are_long_enough() -> None:
    assert len(base64.b32decode(second_factor.new_secret())) == 20
    assert second_factor.new_secret() != second_factor.new_secret()
    codes = second_factor.new_recovery_codes()
    assert len(set(codes)) == second_factor.RECOVERY_CODES
    assert all(len(code) == len("xxxx-xxxx-xxxx") for code in codes)


def test_a_recovery_code_may_be_typed_carelessly() -> None:
    assert second_factor.digest_of(" ABCD efgh-jkmn") == second_factor.digest_of("abcd-efgh-jkmn")
    assert second_factor.digest_of("abcd-efgh-jkmp") != second_factor.digest_of("abcd-efgh-jkmn")


def test_each_attempt_costs_twice_the_time_up_to_a_longest() -> None:
    limit = guessing.Limit(free=3, longest=timedelta(seconds=10))
    pauses = [limit.pause_after(attempts).total_seconds() for attempts in (1, 2, 3, 4, 5, 6, 7, 100_000)]
    assert pauses == [0, 0, 1, 2, 4, 8, 10, 10]
