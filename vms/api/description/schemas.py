"""What the declarations say, as JSON Schema: once for each form, because the forms differ in nearly every scalar.

In JSON every scalar is a text, but a time is a number; in XML a number is one, and a time a text. Both are read more
freely than they are written. Source: REST contract, 4.1 and 8.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Any

from vms.api.declare import Group, Kind, Many, Member, Reference, Resource, Scalar
from vms.api.exchange import Listing, Shape

Schema = dict[str, Any]


class Form(StrEnum):
    """A form of the API."""

    JSON = "json"
    XML = "xml"


_TEXT: Schema = {"type": "string"}
_SHOWN: dict[Form, dict[Kind, Schema]] = {
    Form.JSON: {
        Kind.TEXT: _TEXT,
        Kind.FLAG: {"type": "string", "enum": ["true", "false"]},
        Kind.WHOLE: {"type": "string", "pattern": "^-?[0-9]+$"},
        Kind.MOMENT: {"type": "integer", "description": "Milliseconds since the beginning of 1970, UTC."},
        Kind.NUMBER: {"type": "number"},
    },
    Form.XML: {
        Kind.TEXT: _TEXT,
        Kind.FLAG: {"type": "boolean"},
        Kind.WHOLE: {"type": "integer"},
        Kind.MOMENT: {"type": "string", "format": "date-time"},
        Kind.NUMBER: {"type": "number"},
    },
}
#: What is understood in JSON besides what is written: other programs write a number as one.
_ALSO_READ: dict[Kind, Schema] = {Kind.FLAG: {"type": "boolean"}, Kind.WHOLE: {"type": "integer"}}


def scalar(member: Scalar[Any], form: Form, *, sent: bool = False) -> Schema:
    """Describe one value."""
    schema = dict(_SHOWN[form][member.kind])
    if member.words:
        schema["enum"] = list(member.words)
    also = dict(_ALSO_READ.get(member.kind, {})) if sent and form is Form.JSON else {}
    for plain in (schema, also):
        if member.limits and plain.get("type") == "integer":
            plain["minimum"], plain["maximum"] = member.limits
    schema = {"anyOf": [schema, also]} if also else schema
    return _with_doc(schema, member.doc)


class Components:
    """Schemas that others refer to, made when they are first needed.

    Attributes:
        schemas: Each by its name.
    """

    def __init__(self) -> None:
        self.schemas: dict[str, Schema] = {}

    def shown(self, shape: Shape, form: Form) -> Schema:
        """Describe what is answered."""
        match shape:
            case Listing(of=resource):
                return self._listing(resource, form)
            case Resource():
                return self._refer(shape, form, sent=False)
        return _root(_object(shape.members, form), shape.name, form)

    def sent(self, shape: Group[Any] | Resource[Any], form: Form) -> Schema:
        """Describe what is asked."""
        if isinstance(shape, Resource):
            return self._refer(shape, form, sent=True)
        return _root(_object(shape.members, form, sent=True), shape.name, form)

    def _listing(self, resource: Resource[Any], form: Form) -> Schema:
        many: Schema = {"type": "array", "items": self._refer(resource, form, sent=False)}
        if form is Form.XML:
            return many | {"xml": {"name": resource.plural, "wrapped": True}}
        # Nobody is promised the key of an empty list.
        return {"type": "object", "properties": {resource.name: many}}

    def _refer(self, resource: Resource[Any], form: Form, *, sent: bool) -> Schema:
        words = [resource.name, "sent" if sent else "", "in", form]
        name = "".join(part.capitalize() for word in words for part in word.split("_"))
        if name not in self.schemas:
            body = _object(resource.members, form, sent=sent)
            if not sent:
                body["properties"] = _of_every_resource(resource, form) | body["properties"]
                body["required"] = ["href", "id"]
            self.schemas[name] = _with_doc(_root(body, resource.name, form), resource.doc)
        return {"$ref": f"#/components/schemas/{name}"}


def _of_every_resource(resource: Resource[Any], form: Form) -> dict[str, Schema]:
    link = {"type": "object", "properties": {"href": _attribute(form), "rel": _attribute(form)}}
    links = {"type": "array", "items": link}
    found: dict[str, Schema] = {"href": _attribute(form), "id": _attribute(form)}
    if resource.actions:
        found["actions"] = {"type": "object", "properties": {"link": links}}
    if resource.links:
        found["link"] = links
    return found


def _object(members: Sequence[Member], form: Form, *, sent: bool = False) -> Schema:
    """Describe an element; of what is sent, only what may be."""
    wanted = [member for member in members if member.written] if sent else members
    return {"type": "object", "properties": {member.name: _member(member, form, sent=sent) for member in wanted}}


def _member(member: Member, form: Form, *, sent: bool) -> Schema:
    match member:
        case Scalar():
            return scalar(member, form, sent=sent)
        case Reference():
            return _with_doc(_reference(form, sent=sent), member.doc)
        case Group():
            return _with_doc(_object(member.members, form, sent=sent), member.doc)
        case Many():
            return _with_doc(_many(member, form, sent=sent), member.doc)


def _reference(form: Form, *, sent: bool) -> Schema:
    if not sent:
        return {"type": "object", "properties": {"href": _attribute(form), "id": _attribute(form)}}
    named = {"type": "object", "properties": {"id": _attribute(form), "name": _TEXT}}
    return named | {"anyOf": [{"required": ["id"]}, {"required": ["name"]}]}


def _many(member: Many[Any], form: Form, *, sent: bool) -> Schema:
    of = _member(member.of, form, sent=sent)
    if form is Form.XML:
        return {"type": "array", "items": of | {"xml": {"name": member.of.name}}, "xml": {"wrapped": True}}
    return {"type": "object", "properties": {member.of.name: {"type": "array", "items": of}}}


def _attribute(form: Form) -> Schema:
    return _TEXT | {"xml": {"attribute": True}} if form is Form.XML else dict(_TEXT)


def _root(schema: Schema, name: str, form: Form) -> Schema:
    return schema | {"xml": {"name": name}} if form is Form.XML else schema


def _with_doc(schema: Schema, doc: str) -> Schema:
    return schema | {"description": doc} if doc else schema
