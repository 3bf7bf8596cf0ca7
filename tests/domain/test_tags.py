"""What can be a tag."""

from __future__ import annotations

import pytest

from vms.domain.tags import LONGEST, MOST, TagError, clean, parse


def test_tags_are_words_with_commas_between_them() -> None:
    assert parse("production, web  server,,  ") == ("production", "web server")
    assert parse("") == ()


def test_a_tag_counts_once_whatever_its_case() -> None:
    assert parse("Web, web, WEB, db") == ("Web", "db")


@pytest.mark.parametrize(
    ("names", "code"),
    [
        (["a,b"], "comma"),
        (["x" * (LONGEST + 1)], "too_long"),
        ([str(number) for number in range(MOST + 1)], "too_many"),
    ],
)
def test_what_cannot_be_tags_is_refused(names: list[str], code: str) -> None:
    with pytest.raises(TagError) as refused:
        clean(names)
    assert refused.value.code == code
