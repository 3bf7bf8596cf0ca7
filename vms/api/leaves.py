"""What is in a tree, value by value: for what a client may send only as it is shown, or not at all."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from vms.api.declare import Group, Items, Many, Member, flag


def leaves(tree: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each value of a tree with its place, `os.boot.devices.device` for example. What is empty has none."""
    if isinstance(tree, Mapping):
        for name, inner in tree.items():
            yield from leaves(inner, f"{place}.{name}" if place else name)
    elif isinstance(tree, Items):
        yield from leaves({tree.member: list(tree.values)}, place)
    elif isinstance(tree, list):
        for inner in tree:
            yield from leaves(inner, place)
    elif tree is not None and tree != "":
        yield place, tree


def places(members: Iterable[Member], above: str = "") -> Iterator[str]:
    """Yield the places of all values that members declare."""
    for member in members:
        place = f"{above}{member.name}"
        if isinstance(member, Group):
            yield from places(member.members, f"{place}.")
        elif isinstance(member, Many):
            yield from places([member.of], f"{place}.")
        else:
            yield place


def strangers(sent: Any, known: Any) -> Iterator[tuple[str, Any]]:
    """Yield the values that a client has sent and a tree does not have at the same place.

    Raises:
        Invalid: A yes or no that is neither.
    """
    have: dict[str, list[Any]] = {}
    for place, value in leaves(known):
        have.setdefault(place, []).append(value)
    for place, value in leaves(sent):
        if not any(_same(one, value, place) for one in have.get(place, ())):
            yield place, value


def _same(known: Any, sent: Any, place: str) -> bool:
    return flag(sent, place) is known if isinstance(known, bool) else str(sent).strip() == str(known)
