"""What the page says of each call: its parameters, what it takes and what it gives, a row each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from vms.api.declare import Group, Kind, Many, Member, Reference, Resource, Scalar
from vms.api.description.document import Address, sentence
from vms.api.exchange import Listing, Shape

#: How a scalar is written in JSON and in XML.
_WRITTEN: dict[Kind, tuple[str, str]] = {
    Kind.TEXT: ('"text"', "text"),
    Kind.FLAG: ('"true"', "true"),
    Kind.WHOLE: ('"45"', "45"),
    Kind.MOMENT: ("1767322800123", "2026-01-02T03:00:00.123+00:00"),
    Kind.NUMBER: ("4.5", "4.5"),
}


@dataclass(frozen=True, slots=True)
class Row:
    """One value.

    Attributes:
        name: With the elements that it is in: `cpu.topology.cores`; those of a list end with `[]`.
        in_json: An example, or what it is.
        in_xml: The same in the other form.
        words: All that it can be, where it is one of some words.
    """

    name: str
    in_json: str
    in_xml: str
    doc: str
    words: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Call:
    """One method of one address."""

    subject: str
    method: str
    path: str
    summary: str
    doc: str
    parameters: list[Row]
    taken: list[Row]
    given: list[Row]
    many: bool
    status: int

    @property
    def anchor(self) -> str:
        """What a link to it ends with."""
        return f"{self.method}-" + "-".join(word.strip("{}") for word in self.path.split("/")[2:])


def call(address: Address, method: str) -> Call | None:
    """Describe a method of an address; None where nothing in the code says what it does."""
    exchange = address.exchange(method)
    if exchange is None:
        return None
    return Call(
        subject=address.subject,
        method=method,
        path=address.path,
        summary=sentence(address.view).removesuffix("."),
        doc=sentence(getattr(address.view, method)),
        parameters=[_scalar(declared, "") for declared in (*address.view.in_address, *exchange.parameters)],
        taken=_rows_of(exchange.takes, sent=True),
        given=_rows_of(exchange.gives, sent=False),
        many=isinstance(exchange.gives, Listing),
        status=int(exchange.status),
    )


def _rows_of(shape: Shape | None, *, sent: bool) -> list[Row]:
    if shape is None:
        return []
    of: Resource[Any] | Group[Any] = shape.of if isinstance(shape, Listing) else shape
    return list(_rows(of.members, "", sent=sent))


def _rows(members: Sequence[Member], above: str, *, sent: bool) -> Iterator[Row]:
    for member in members:
        if not sent or member.written:
            yield from _row(member, above, sent=sent)


def _row(member: Member, above: str, *, sent: bool) -> Iterator[Row]:
    match member:
        case Scalar():
            yield _scalar(member, above)
        case Reference():
            doc = member.doc or f"One of {member.path}{', by id or by name' if sent else ''}."
            yield Row(above + member.name, '{"href": …, "id": …}', f"<{member.name} href=… id=…/>", doc)
        case Group():
            yield from _rows(member.members, f"{above}{member.name}.", sent=sent)
        case Many():
            yield from _row(member.of, f"{above}{member.name}[].", sent=sent)


def _scalar(member: Scalar[Any], above: str) -> Row:
    in_json, in_xml = _WRITTEN[member.kind]
    limits = f"From {member.limits[0]} to {member.limits[1]}." if member.limits else ""
    return Row(above + member.name, in_json, in_xml, " ".join(filter(None, (member.doc, limits))), member.words)
