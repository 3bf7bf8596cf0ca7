"""The authority on how a filter text is written: words with blanks between them, in quotation marks what has blanks.

`web* status=up tag="front office"` is three words. What a word asks for is judged by whoever knows the rows.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable


class SearchError(ValueError):
    """A filter text that cannot be taken apart.

    Attributes:
        code: Why, as a stable word.
    """

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def words(text: str) -> list[str]:
    """Return the words of a filter text, without the quotation marks that held them together.

    Raises:
        SearchError: `open_quote`.
    """
    lexer = shlex.shlex(text, posix=True, punctuation_chars=False)
    lexer.whitespace_split, lexer.commenters, lexer.quotes, lexer.escape = True, "", '"', "\\"
    try:
        return list(lexer)
    except ValueError:
        raise SearchError("open_quote") from None


def term(field: str, value: str) -> str:
    """Write the word that wants a field to have a value."""
    return f"{field}={_quoted(value)}"


def text_of(wanted: Iterable[str]) -> str:
    """Write words as a filter text; the reverse of `words`."""
    return " ".join(_written(word) for word in wanted)


def _written(word: str) -> str:
    field, equals, value = word.partition("=")
    plain = equals and re.fullmatch(r"\w+", field)
    return term(field, value) if plain else _quoted(word)


def _quoted(value: str) -> str:
    if value and not re.search(r'[\s"\\]', value):
        return value
    escaped = value.replace("\\", r"\\").replace('"', r"\"")
    return f'"{escaped}"'
