"""The authority on tags: words that people put on VMs."""

from __future__ import annotations

from collections.abc import Iterable

LONGEST = 50
#: On one VM.
MOST = 20


class TagError(ValueError):
    """Words that cannot be tags of a VM.

    Attributes:
        code: Why, as a stable word; the sentence for people is made from it in `vms.labels`.
    """

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def parse(text: str) -> tuple[str, ...]:
    """Return the tags of a text with commas between them; see `clean`."""
    return clean(text.split(","))


def clean(names: Iterable[str]) -> tuple[str, ...]:
    """Return tags without needless blanks, each once whatever its case, in the order given.

    Raises:
        TagError: `too_long`, `comma` or `too_many`.
    """
    cleaned: dict[str, str] = {}
    for name in (" ".join(name.split()) for name in names):
        if "," in name:
            raise TagError("comma")
        if len(name) > LONGEST:
            raise TagError("too_long")
        if name:
            cleaned.setdefault(name.casefold(), name)
    if len(cleaned) > MOST:
        raise TagError("too_many")
    return tuple(cleaned.values())
