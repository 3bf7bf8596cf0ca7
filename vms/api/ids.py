"""The ids that clients see of rows whose own key is a number: UUIDs, as all of oVirt's are, that lead back to the row.

Version 8 is what RFC 9562 leaves to applications. Ours hold the kind of row and its key, so that nothing is stored for
them, and a row is found by its key. An id of one kind is never taken for one of another.
"""

from __future__ import annotations

from enum import IntEnum
from uuid import UUID

from vms.api.endpoint import as_uuid
from vms.api.faults import NotFound

_VERSION = 8 << 76
_VARIANT = 2 << 62
_KEY = (1 << 62) - 1


class Row(IntEnum):
    """A kind of row. The numbers are part of ids that clients keep: they stay."""

    HOST = 1
    TAG = 2
    USER = 3
    GROUP = 4
    ROLE = 5
    ASSIGNMENT = 6
    STEP = 7


def id_of(row: Row, key: int) -> UUID:
    """Return the id of a row."""
    return UUID(int=row << 96 | _VERSION | _VARIANT | key)


def key_of(row: Row, text: str) -> int:
    """Return the key of the row that an id is of.

    Raises:
        NotFound: It is no id of a row of this kind.
    """
    given = as_uuid(text)
    key = given.int & _KEY
    if given != id_of(row, key):
        raise NotFound("There is no such object.")
    return key
