"""The authority on how fast passwords and codes can be guessed: after some attempts, each costs twice the time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class Limit:
    """How attempts at one thing are slowed down.

    Attributes:
        free: Wrong attempts that cost no time.
        longest: The pause that no number of attempts exceeds.
    """

    free: int
    longest: timedelta

    def pause_after(self, attempts: int) -> timedelta:
        """Return how long nobody may try again after so many attempts: 1 s, 2 s, 4 s and so on."""
        if attempts < self.free:
            return timedelta(0)
        # Beyond 2^32 s the longest is reached in any case.
        return min(timedelta(seconds=2 ** min(attempts - self.free, 32)), self.longest)


#: A name's password, from one address: who guesses from elsewhere does not keep the person themselves out.
PASSWORD = Limit(free=5, longest=timedelta(minutes=15))
#: The second factor, from anywhere: who comes to this has the password.
CODE = Limit(free=5, longest=timedelta(minutes=15))
#: Attempts this long ago no longer count.
FORGOTTEN_AFTER = timedelta(days=1)
