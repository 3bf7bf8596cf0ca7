"""Ids of rows whose own key is a number."""

from __future__ import annotations

from uuid import RFC_4122

import pytest

from tests.api.asking import NOBODYS
from vms.api.faults import NotFound
from vms.api.ids import Row, id_of, key_of


@pytest.mark.parametrize("key", [1, 42, (1 << 62) - 1])
def test_an_id_is_a_uuid_and_leads_back(key: int) -> None:
    given = id_of(Row.TAG, key)
    assert (given.version, given.variant) == (8, RFC_4122)
    assert key_of(Row.TAG, str(given)) == key
    assert key_of(Row.TAG, str(given).upper()) == key


def test_each_row_of_each_kind_has_its_own() -> None:
    assert len({id_of(row, key) for row in Row for key in range(1, 5)}) == len(Row) * 4


def test_they_stay_as_they_are() -> None:
    # Clients keep them.
    assert str(id_of(Row.HOST, 1)) == "00000001-0000-8000-8000-000000000001"


@pytest.mark.parametrize("text", [str(id_of(Row.HOST, 1)), NOBODYS, "1", "", "x"])
def test_what_is_no_id_of_a_tag_is_not_found(text: str) -> None:
    with pytest.raises(NotFound):
        key_of(Row.TAG, text)
