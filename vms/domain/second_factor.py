"""The authority on the second factor: the codes of authenticator apps (RFC 6238), and recovery codes.

A code is six digits for thirty seconds. That of the interval before or after is good too, because clocks differ, and
none is good twice.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from urllib.parse import quote, urlencode

INTERVAL = 30
DIGITS = 6
#: How many intervals a clock may be off.
_TOLERANCE = 1
#: Bytes; as long as what HMAC-SHA1 gives, which RFC 4226 recommends.
_SECRET_LENGTH = 20
RECOVERY_CODES = 10
#: Without letters and digits that look alike.
_ALPHABET = "23456789abcdefghjkmnpqrstuvwxyz"
_GROUPS, _GROUP_LENGTH = 3, 4


def new_secret() -> str:
    """Return a secret, as it is typed into an app: 32 letters and digits (base32)."""
    return base64.b32encode(secrets.token_bytes(_SECRET_LENGTH)).decode()


def interval_at(timestamp: float) -> int:
    """Return the number of the interval that a moment (in seconds since 1970) lies in."""
    return int(timestamp // INTERVAL)


def code_of(secret: str, interval: int) -> str:
    """Return the code of an interval."""
    digest = hmac.digest(base64.b32decode(secret), interval.to_bytes(8), hashlib.sha1)
    offset = digest[-1] & 0xF
    number = int.from_bytes(digest[offset : offset + 4]) & 0x7FFFFFFF
    return f"{number % 10**DIGITS:0{DIGITS}}"


def matching_interval(secret: str, code: str, timestamp: float, *, after: int = -1) -> int | None:
    """Return the interval that a code belongs to; None where it is not good now.

    Args:
        code: As it was typed; spaces do not count.
        after: The interval of the last code that was taken; this one and those before are used up.
    """
    typed = "".join(code.split())
    now = interval_at(timestamp)
    for interval in range(now - _TOLERANCE, now + _TOLERANCE + 1):
        # As bytes: what somebody types need not be ASCII.
        if interval > after and hmac.compare_digest(code_of(secret, interval).encode(), typed.encode()):
            return interval
    return None


def app_uri(secret: str, name: str, issuer: str) -> str:
    """Return what the picture says that an app reads (the Key URI Format).

    Args:
        name: Whose codes they are.
        issuer: What they are for.
    """
    label = quote(f"{issuer}:{name}", safe="")
    return f"otpauth://totp/{label}?{urlencode({'secret': secret, 'issuer': issuer}, quote_via=quote)}"


def new_recovery_codes() -> list[str]:
    """Return codes that are good once each, for whoever has lost their app: about 59 bits each."""
    return [
        "-".join("".join(secrets.choice(_ALPHABET) for _ in range(_GROUP_LENGTH)) for _ in range(_GROUPS))
        for _ in range(RECOVERY_CODES)
    ]


def digest_of(recovery_code: str) -> str:
    """Return what is kept of a recovery code, as it was typed: it cannot be guessed back, random as the code is."""
    plain = "".join(character for character in recovery_code.lower() if character.isalnum())
    return hashlib.sha256(plain.encode()).hexdigest()
