"""The authority on tokens of the API: what one looks like, what is kept of it, and how long it is good.

A token that somebody has made is good until its day comes. A session, which a program has begun with a password or with
such a token, ends when nobody uses it for an hour, and after a day in any case: programs log in again by themselves.
"""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime, timedelta

#: Those who look for secrets that were published by mistake know one by how it begins.
PREFIX = "vmp_"
#: Bytes: nobody guesses 256 bits, so that a digest without salt is enough to keep.
_LENGTH = 32

#: How many days a token that somebody makes may be good.
LIFETIMES = (30, 90, 365, 1095)
#: How long a session lasts that nobody uses. An Ansible play has nothing else, and may wait for longer than minutes.
SESSION_IDLE = timedelta(hours=1)
SESSION_LONGEST = timedelta(days=1)
#: That a token is used is written down so often at most: what only reads is not to write each time.
NOTED_EVERY = timedelta(minutes=1)


def new_secret() -> str:
    """Return the secret of a new token: letters, digits, hyphens and underscores."""
    return PREFIX + secrets.token_urlsafe(_LENGTH)


def digest_of(secret: str) -> str:
    """Return what is kept of a secret: it cannot be guessed back, random as the secret is."""
    return hashlib.sha256(secret.encode()).hexdigest()


def binding(stored_password: str) -> str:
    """Return what binds a token to the password that its person has now, another one being another binding.

    Args:
        stored_password: As the database has it, with its salt.
    """
    return digest_of(f"binding {stored_password}")


def session_end(now: datetime, longest: datetime) -> datetime:
    """Return when a session ends that is used now, and not any more.

    Args:
        longest: When it ends in any case.
    """
    return min(now + SESSION_IDLE, longest)


def is_worth_noting(last_used: datetime | None, now: datetime) -> bool:
    """Say whether it is time to write down that a token is used."""
    return last_used is None or now - last_used >= NOTED_EVERY
