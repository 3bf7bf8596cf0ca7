"""Filter texts: taken apart, and put together again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vms.domain import search


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", []),
        ("web*  status=up", ["web*", "status=up"]),
        ('tag="front office" db', ["tag=front office", "db"]),
        (r'name="say \"hello\""', ['name=say "hello"']),
        ("it's #1", ["it's", "#1"]),
    ],
)
def test_blanks_part_words_but_not_between_quotation_marks(text: str, words: list[str]) -> None:
    assert search.words(text) == words


def test_a_quotation_mark_has_to_be_closed() -> None:
    with pytest.raises(search.SearchError) as refused:
        search.words('name="web')
    assert refused.value.code == "open_quote"


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1)))
def test_words_that_are_written_are_read_as_the_same_words(words: list[str]) -> None:
    assert search.words(search.text_of(words)) == words
    assert search.words(" ".join(search.term("tag", word) for word in words)) == [f"tag={word}" for word in words]
