"""The description as OpenAPI 3.1 has it, made from the addresses, their views and what those declare.

Nothing is written down a second time: paths and methods come from `vms.api.urls`, sentences from docstrings, media
types from the parsers and renderers of each view, bodies from the declarations.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from typing import Any

from django.urls import URLPattern, get_resolver

from vms.api import xml
from vms.api.declare import Scalar
from vms.api.description.schemas import Components, Form, Schema, scalar
from vms.api.endpoint import Endpoint
from vms.api.exchange import ACCEPTED, FAULT, REFUSED, Exchange, Listing
from vms.api.paths import PREFIX

#: In the order of the page.
METHODS = ("get", "post", "put", "delete")
_UNSAFE = ("post", "put", "delete")
_CHANGING = ("post", "put")
_EVERY_FAULT = (HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND, HTTPStatus.SERVICE_UNAVAILABLE)
_FAULT_OF_CHANGES = (
    HTTPStatus.CONFLICT,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
)
_SCHEMES: dict[str, Schema] = {
    "token": {"type": "http", "scheme": "bearer"},
    "password": {"type": "http", "scheme": "basic"},
    "session": {"type": "apiKey", "in": "cookie", "name": "JSESSIONID"},
}


@dataclass(frozen=True, slots=True)
class Address:
    """One address of the API.

    Attributes:
        path: As OpenAPI writes it: `/ovirt-engine/api/vms/{vm_id}`.
    """

    path: str
    view: type[Endpoint]

    @property
    def methods(self) -> list[str]:
        """What can be asked of it."""
        return [method for method in METHODS if hasattr(self.view, method)]

    @property
    def names(self) -> list[str]:
        """What its path leaves open."""
        return re.findall(r"{(\w+)}", self.path)

    @property
    def is_of_one(self) -> bool:
        """True when it is of one object: its path ends with an id, or is the API's own."""
        return self.path.endswith(("}", f"{PREFIX}/api"))

    @property
    def subject(self) -> str:
        """What it is about: the first word below the API's root."""
        words = [word for word in self.path.removeprefix(PREFIX).split("/") if word]
        return words[1] if len(words) > 1 else words[0]

    def exchange(self, method: str) -> Exchange | None:
        """Return what a method takes and gives; None where nothing in the code says so."""
        own = self.view.exchange(method)
        if own is not None:
            return own
        if self.view.is_action:
            return Exchange(gives=ACCEPTED)
        resource = getattr(self.view, "resource", None)
        if resource is None:
            return None
        match method:
            case "get":
                return Exchange(gives=resource if self.is_of_one else Listing(resource))
            case "post":
                return Exchange(takes=resource, gives=resource, status=HTTPStatus.CREATED)
            case "put":
                return Exchange(takes=resource, gives=resource)
        return Exchange(gives=ACCEPTED)


def addresses() -> Iterator[Address]:
    """Find every address that is one; what answers all others is none."""
    for pattern in get_resolver("vms.api.urls").url_patterns:
        view = getattr(pattern.callback, "view_class", None) if isinstance(pattern, URLPattern) else None
        if view is not None and issubclass(view, Endpoint):
            address = Address(f"{PREFIX}/" + re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", str(pattern.pattern)), view)
            if address.methods:
                yield address


@cache
def document() -> dict[str, Any]:
    """Make the description."""
    components = Components()
    paths = {address.path: _path(address, components) for address in addresses()}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "VM Portal",
            "version": "4",
            "description": "The part of oVirt's API v4 that its clients use, and this portal's own additions."
            " What is not named in a body may be sent and counts for nothing.",
        },
        "paths": paths,
        "components": {"schemas": components.schemas, "securitySchemes": _SCHEMES},
    }


def _path(address: Address, components: Components) -> Schema:
    found: Schema = {
        method: _operation(address, method, exchange, components)
        for method in address.methods
        if (exchange := address.exchange(method)) is not None
    }
    if address.names:
        found["parameters"] = [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in address.names
        ]
    return found


def _operation(address: Address, method: str, exchange: Exchange, components: Components) -> Schema:
    view, secured = address.view, bool(address.view.permission_classes)
    operation: Schema = {
        "operationId": "_".join([method, *re.findall(r"\w+", address.path.removeprefix(PREFIX))]),
        "tags": [address.subject],
        "summary": sentence(view).removesuffix("."),
        "description": sentence(getattr(view, method)),
        "security": [{name: []} for name in _SCHEMES] if secured else [],
        "responses": _responses(view, method, exchange, components, secured=secured),
    }
    if parameters := [*view.in_address, *exchange.parameters]:
        operation["parameters"] = [_parameter(declared) for declared in parameters]
    if method in _CHANGING:
        operation["requestBody"] = {"content": _taken(view, exchange, components)}
    return operation


def sentence(documented: object) -> str:
    """Return what the code says first of something."""
    return (inspect.getdoc(documented) or "").partition("\n\n")[0].replace("\n", " ")


def _parameter(declared: Scalar[None]) -> Schema:
    plain = scalar(declared, Form.XML)
    doc = plain.pop("description", "")
    return {"name": declared.name, "in": "query", "description": doc, "schema": plain}


def _taken(view: type[Endpoint], exchange: Exchange, components: Components) -> Schema:
    content = {}
    for parser in view.parser_classes:
        form = _form(parser.media_type)
        schema = {"type": "object"} if exchange.takes is None else components.sent(exchange.takes, form)
        content[parser.media_type] = {"schema": schema}
    return content


def _responses(
    view: type[Endpoint], method: str, exchange: Exchange, components: Components, *, secured: bool
) -> Schema:
    refused = REFUSED if view.is_action else FAULT
    faults = _EVERY_FAULT + (_FAULT_OF_CHANGES if method in _UNSAFE else ())
    found: dict[HTTPStatus, Schema] = {HTTPStatus(exchange.status): _answer(view, exchange, components)}
    if secured:
        found[HTTPStatus.UNAUTHORIZED] = {"description": "Who asks is not known."}
        faults += (HTTPStatus.FORBIDDEN,)
    for status in faults:
        found[status] = _answer(view, Exchange(gives=refused, status=status), components)
    return {str(int(status)): found[status] for status in sorted(found)}


def _answer(view: type[Endpoint], exchange: Exchange, components: Components) -> Schema:
    answer: Schema = {"description": HTTPStatus(exchange.status).phrase}
    if exchange.gives is not None:
        answer["content"] = {
            renderer.media_type: {"schema": components.shown(exchange.gives, _form(renderer.media_type))}
            for renderer in view.renderer_classes
        }
    return answer


def _form(media_type: str) -> Form:
    return Form.XML if media_type in (xml.MEDIA_TYPE, "text/xml") else Form.JSON
