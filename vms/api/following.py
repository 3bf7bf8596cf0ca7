"""What `follow` inlines: linked objects where their links are, so that a client asks once. Source: REST contract, 9."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Generic, TypeVar

from vms.api.declare import Items, Resource, Tree
from vms.permissions import Actor

T = TypeVar("T")

#: What is wanted, by the names of links; below each, what is wanted from there.
Wanted = dict[str, "Wanted"]


@dataclass(frozen=True, slots=True)
class Link(Generic[T]):
    """A link that can be followed.

    Attributes:
        resource: What it leads to.
        find: The objects that each of many is linked to, in their order, as far as somebody may see them. It asks the
            database a constant number of times.
        single: It leads to one object at most, which takes the place of the reference to it.
        links: What can be followed from there.
    """

    resource: Resource[Any]
    find: Callable[[Actor, Sequence[T]], Sequence[Sequence[Any]]]
    single: bool = False
    links: Mapping[str, Link[Any]] = field(default_factory=dict)


def wanted(text: str) -> Wanted:
    """Read what a client wants to follow: `a,b.c` is a, and b with its c."""
    found: Wanted = {}
    for path in text.split(","):
        below = found
        for name in path.split("."):
            below = below.setdefault(name.strip(), {})
    return found


@dataclass(frozen=True, slots=True)
class Batch(Generic[T]):
    """Some objects, and the trees of what is shown of them.

    Attributes:
        above: Names of the resources that they are shown inside of.
    """

    resource: Resource[T]
    links: Mapping[str, Link[T]]
    sources: Sequence[T]
    trees: Sequence[Tree]
    above: frozenset[str] = frozenset()

    @property
    def lineage(self) -> frozenset[str]:
        """Names of the resources that nothing inside of them may be: some clients take each `<vm ` for another VM."""
        return self.above | {self.resource.name}


def inline(viewer: Actor, batch: Batch[Any], names: Wanted) -> None:
    """Put what is wanted into the trees; a name that is no link is wanted in vain, and so is a way back."""
    for name, below in names.items():
        link = batch.links.get(name)
        if link is not None and link.resource.name not in batch.lineage:
            _inline(viewer, batch, name, link, below)


def _inline(viewer: Actor, batch: Batch[Any], name: str, link: Link[Any], below: Wanted) -> None:
    groups = link.find(viewer, batch.sources)
    linked = [one for group in groups for one in group]
    trees: Sequence[Tree] = link.resource.show_all(linked).values
    inline(viewer, Batch(link.resource, link.links, linked, trees, batch.lineage), below)
    rest = iter(trees)
    for tree, group in zip(batch.trees, groups, strict=True):
        own = [_without(batch.lineage, one) for one in islice(rest, len(group))]
        if not link.single:
            tree[link.resource.plural] = Items(link.resource.name, own)
        elif own:
            tree[name] = own[0]


def _without(names: frozenset[str], tree: Tree) -> Tree:
    return {key: value for key, value in tree.items() if key not in names}
