"""Which of the two forms a request is in, and which one its answer: XML unless JSON is asked for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from rest_framework.exceptions import UnsupportedMediaType
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request

from vms.api import json, xml
from vms.api.declare import Items, Tree
from vms.api.faults import Invalid, TooLarge

#: Bytes. The largest request is a VM with all its settings.
LARGEST_BODY = 256 * 1024
_MOST_FIELDS = 20


@dataclass(frozen=True, slots=True)
class Document:
    """What an answer says: a tree, and the name of its root."""

    name: str
    tree: Tree | Items


class XmlRenderer(BaseRenderer):
    """Writes XML."""

    media_type = xml.MEDIA_TYPE
    format = "xml"
    charset = None

    def render(self, data: Document | None, *_args: Any, **_kwargs: Any) -> bytes:
        """Write an answer; nothing where there is none."""
        return b"" if data is None else xml.write(data.name, data.tree)


class JsonRenderer(BaseRenderer):
    """Writes JSON."""

    media_type = json.MEDIA_TYPE
    format = "json"
    charset = None

    def render(self, data: Document | None, *_args: Any, **_kwargs: Any) -> bytes:
        """Write an answer; nothing where there is none."""
        return b"" if data is None else json.write(data.tree)


def _body(stream: Any) -> bytes:
    body: bytes = stream.read(LARGEST_BODY + 1)
    if len(body) > LARGEST_BODY:
        raise TooLarge(f"The body is longer than {LARGEST_BODY} bytes.")
    return body


class XmlParser(BaseParser):
    """Reads XML, whatever its root is called."""

    media_type = xml.MEDIA_TYPE

    def parse(self, stream: Any, *_args: Any, **_kwargs: Any) -> Any:
        """Read a request; one without a body says nothing."""
        return xml.read(body) if (body := _body(stream)).strip() else {}


class TextXmlParser(XmlParser):
    """Reads XML that calls itself text."""

    media_type = "text/xml"


class JsonParser(BaseParser):
    """Reads JSON."""

    media_type = json.MEDIA_TYPE

    def parse(self, stream: Any, *_args: Any, **_kwargs: Any) -> Any:
        """Read a request; one without a body says nothing."""
        return json.read(body) if (body := _body(stream)).strip() else {}


class FormParser(BaseParser):
    """Reads what a form of a page would send, as the token endpoint is asked."""

    media_type = "application/x-www-form-urlencoded"

    def parse(self, stream: Any, *_args: Any, **_kwargs: Any) -> dict[str, str]:
        """Read a request; of a field that comes more than once, the last one."""
        try:
            return dict(parse_qsl(_body(stream).decode(), keep_blank_values=True, max_num_fields=_MOST_FIELDS))
        except ValueError as error:
            raise Invalid(f"The body is no form: {error}") from None


class Negotiation(BaseContentNegotiation):
    """Reads by `Content-Type`, answers by `Accept`."""

    def select_parser(self, request: Request, parsers: Iterable[Any]) -> Any:
        """Return what reads this request.

        Raises:
            UnsupportedMediaType: Nothing does: a form of a page, for example.
        """
        given = (request.content_type or "").partition(";")[0].strip().lower()
        for parser in parsers:
            if parser.media_type == given:
                return parser
        raise UnsupportedMediaType(given)

    def select_renderer(
        self, request: Request, renderers: Iterable[Any], format_suffix: str | None = None
    ) -> tuple[Any, str]:
        """Return what writes its answer; a view that has one form answers in that."""
        accepted, offered = str(request.META.get("HTTP_ACCEPT", "")).lower(), list(renderers)
        wanted = json.MEDIA_TYPE if _prefers_json(accepted) else xml.MEDIA_TYPE
        chosen = next((renderer for renderer in offered if renderer.media_type == wanted), offered[0])
        return chosen, chosen.media_type


class JsonOnly(Negotiation):
    """Answers in JSON, whatever is accepted."""

    def select_renderer(
        self, request: Request, renderers: Iterable[Any], format_suffix: str | None = None
    ) -> tuple[Any, str]:
        """Return what writes its answer."""
        return JsonRenderer(), json.MEDIA_TYPE


def _prefers_json(accepted: str) -> bool:
    """Say whether JSON comes before XML in what a client accepts."""
    types = [part.partition(";")[0].strip() for part in accepted.split(",")]
    for media_type in types:
        if media_type == json.MEDIA_TYPE:
            return True
        if media_type in (xml.MEDIA_TYPE, "text/xml"):
            return False
    return False
