"""How a representation is declared: once for each resource, and both forms, the reading and the description from it.

A declaration is made of members. Each says how it is called, what of the object it shows, and whether clients may write
it. `Resource.show` makes a tree of plain values from an object, `Resource.read` checks what a client has sent.

A tree is a dict of values by name: text, bool, int, datetime, another tree, `Items`, or a list of trees for an element
that is repeated without a wrapper. What is unset is not in it. Source: REST contract, 4.1.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Generic, TypeVar

from vms.api.faults import Invalid

#: All of the API's addresses begin with it; every href is such a path.
BASE = "/ovirt-engine/api"

T = TypeVar("T")
Tree = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Items:
    """A list in its wrapper: `<devices><device>hd</device></devices>`, `{"device": ["hd"]}`."""

    member: str
    values: Sequence[Any]


class Kind(StrEnum):
    """What a scalar is."""

    TEXT = "text"
    FLAG = "flag"
    WHOLE = "whole"
    MOMENT = "moment"
    NUMBER = "number"
    """With a fraction; one in JSON, too, where every other scalar is text."""


@dataclass(frozen=True, slots=True)
class Scalar(Generic[T]):
    """One value.

    Attributes:
        show: What of the object it shows; None where it is unset.
        words: All that it can be, where it is one of some words.
        written: Clients may write it.
        limits: Smallest and largest, of a whole number.
    """

    name: str
    kind: Kind
    show: Callable[[T], str | bool | int | datetime | None]
    doc: str = ""
    words: tuple[str, ...] = ()
    written: bool = False
    limits: tuple[int, int] | None = None

    def value(self, source: T) -> Any:
        """Return what it shows of an object."""
        return self.show(source)

    def read(self, sent: Any, where: str) -> Any:
        """Return what a client has sent, as what it is.

        Raises:
            Invalid: It is something else.
        """
        if isinstance(sent, (dict, list)):
            raise Invalid(f"{where} is one value")
        match self.kind:
            case Kind.FLAG:
                return flag(sent, where)
            case Kind.WHOLE:
                return self._whole(sent, where)
        text = str(sent)
        if self.words and text.lower() not in self.words:
            raise Invalid(f"{where} is one of {', '.join(self.words)}")
        return text.lower() if self.words else text

    def _whole(self, sent: Any, where: str) -> int:
        text = str(sent).strip()
        # Of a bounded length: Python refuses to read numbers of thousands of digits in its own way.
        if isinstance(sent, bool) or not re.fullmatch(r"-?[0-9]{1,18}", text, re.ASCII):
            raise Invalid(f"{where} is a whole number")
        if self.limits and not self.limits[0] <= int(text) <= self.limits[1]:
            raise Invalid(f"{where} is from {self.limits[0]} to {self.limits[1]}")
        return int(text)


@dataclass(frozen=True, slots=True)
class Reference(Generic[T]):
    """A link to another object: its address and id, and nothing else, so that no client takes its name for our own.

    Attributes:
        path: Of the collection that the other is in.
        show: The other's id, or None.
        written: Clients may write it, by id or by name.
    """

    name: str
    path: str
    show: Callable[[T], object | None]
    doc: str = ""
    written: bool = False

    def value(self, source: T) -> Tree | None:
        """Return what it shows of an object."""
        found = self.show(source)
        return None if found is None else reference(self.path, found)

    def read(self, sent: Any, where: str) -> Tree:
        """Return the id or the name that a client has sent.

        Raises:
            Invalid: It has sent neither.
        """
        if not isinstance(sent, dict) or not any(isinstance(sent.get(key), str) for key in ("id", "name")):
            raise Invalid(f"{where} wants an id or a name")
        return {key: sent[key] for key in ("id", "name") if isinstance(sent.get(key), str)}


@dataclass(frozen=True, slots=True)
class Group(Generic[T]):
    """An element that holds others.

    Attributes:
        of: What its members show; the object itself, unless it says otherwise. None: the group is unset.
    """

    name: str
    members: tuple[Member, ...]
    of: Callable[[T], Any] = field(default=lambda source: source)
    doc: str = ""

    @property
    def written(self) -> bool:
        """True when clients may write any of it."""
        return any(member.written for member in self.members)

    def value(self, source: T) -> Tree | None:
        """Return what it shows of an object."""
        inner = self.of(source)
        return None if inner is None else shown(self.members, inner)

    def read(self, sent: Any, where: str) -> Tree:
        """Return what a client has sent of it.

        Raises:
            Invalid: Something of it is not what it is declared to be.
        """
        return read(self.members, sent, where)


@dataclass(frozen=True, slots=True)
class Many(Generic[T]):
    """A list in its wrapper.

    Attributes:
        of: What one of them is: its name, and its value or members.
        show: The objects that are shown, each by `of`.
    """

    name: str
    of: Scalar[Any] | Group[Any] | Reference[Any]
    show: Callable[[T], Iterable[Any]]
    doc: str = ""
    written: bool = False

    def value(self, source: T) -> Items:
        """Return what it shows of an object."""
        return Items(self.of.name, [self.of.value(one) for one in self.show(source)])

    def read(self, sent: Any, where: str) -> list[Any]:
        """Return what a client has sent of it, a list also where it is one or none.

        Raises:
            Invalid: Something of it is not what it is declared to be.
        """
        if sent == "":
            return []
        if not isinstance(sent, dict):
            raise Invalid(f"{where} holds {self.of.name} elements")
        found = sent.get(self.of.name, [])
        found = found if isinstance(found, list) else [found]
        return [self.of.read(one, f"{where}.{self.of.name}") for one in found]


Member = Scalar[Any] | Reference[Any] | Group[Any] | Many[Any]


@dataclass(frozen=True, slots=True)
class Resource(Generic[T]):
    """A kind of object that the API shows.

    Attributes:
        name: Of one, as an element.
        plural: Of many.
        path: Of the collection, below the API's base.
        id_of: Its id. Opaque to clients.
        links: Names of the collections below one, which clients follow.
        actions: Names of what can be done to one.
    """

    name: str
    plural: str
    path: str
    id_of: Callable[[T], object]
    members: tuple[Member, ...]
    links: tuple[str, ...] = ()
    actions: tuple[str, ...] = ()
    doc: str = ""

    def href(self, source: T) -> str:
        """Return the address of one."""
        return f"{BASE}/{self.path}/{self.id_of(source)}"

    def show(self, source: T) -> Tree:
        """Return what a client is shown of one."""
        href = self.href(source)
        tree: Tree = {"href": href, "id": str(self.id_of(source))}
        if self.actions:
            tree["actions"] = {"link": [{"href": f"{href}/{name}", "rel": name} for name in self.actions]}
        tree |= shown(self.members[:_LINKS_AFTER], source)
        if self.links:
            tree["link"] = [{"href": f"{href}/{name}", "rel": name} for name in self.links]
        return tree | shown(self.members[_LINKS_AFTER:], source)

    def show_all(self, sources: Iterable[T]) -> Items:
        """Return what a client is shown of many. Nothing but members: clients take everything in it for one."""
        return Items(self.name, [self.show(source) for source in sources])

    def read(self, sent: Any) -> Tree:
        """Return what a client has sent of what may be written, and only what it has sent.

        Raises:
            Invalid: Something is not what it is declared to be.
        """
        return read(self.members, sent, self.name)


#: Name, description and comment come before the links, as clients that don't parse expect it.
_LINKS_AFTER = 3


def reference(path: str, found: object) -> Tree:
    """Make a link to another object."""
    return {"href": f"{BASE}/{path}/{found}", "id": str(found)}


def shown(members: Sequence[Member], source: Any) -> Tree:
    """Return what these members show of an object, without what is unset."""
    tree: Tree = {}
    for member in members:
        value = member.value(source)
        if value is not None:
            tree[member.name] = value
    return tree


def read(members: Sequence[Member], sent: Any, where: str) -> Tree:
    """Return what a client has sent of these members; what is not to be written, or not known, counts for nothing.

    Raises:
        Invalid: Something is not what it is declared to be.
    """
    if sent == "":
        return {}
    if not isinstance(sent, Mapping):
        raise Invalid(f"{where} holds elements")
    return {
        member.name: member.read(sent[member.name], f"{where}.{member.name}")
        for member in members
        if member.written and member.name in sent
    }


def flag(sent: Any, where: str) -> bool:
    """Read a yes or no in any of the spellings that clients use.

    Raises:
        Invalid: It is none of them.
    """
    text = str(sent).strip().lower()
    if text in {"true", "1", "t", "yes", "y"}:
        return True
    if text in {"false", "0", "f", "no", "n"}:
        return False
    raise Invalid(f"{where} is true or false")
