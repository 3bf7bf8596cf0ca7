"""The XML form: the one writer, and the one reader.

Some clients take XML for lines of text, and a fencing agent among them stops the VM whose id it finds first. So each
element has a line of its own, with `href` before `id`, and what comes first in a VM is the VM's own.
Source: REST contract, 4.1.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any
from xml.sax.saxutils import escape

from lxml import etree

from vms.api.declare import DEEPEST, UNSAYABLE, Items, Tree
from vms.api.faults import Invalid

MEDIA_TYPE = "application/xml"

#: Everything else is an element.
_ATTRIBUTES = ("href", "id", "rel")
_INDENT = "    "
#: What is written as it is, in an element and in an attribute: what most ids, addresses and names are made of.
_AS_IT_IS = re.compile("[ !#-%'-;=?-~]*").fullmatch


def write(name: str, value: Tree | Items) -> bytes:
    """Write a document whose root is `name`."""
    lines = ['<?xml version="1.0" encoding="UTF-8"?>']
    _write(lines, name, value, "")
    return "\n".join([*lines, ""]).encode()


def _write(lines: list[str], name: str, value: Any, indent: str) -> None:
    if isinstance(value, dict):
        _write_tree(lines, name, value, indent)
    elif isinstance(value, list):
        for one in value:
            _write(lines, name, one, indent)
    elif isinstance(value, Items):
        if not value.values:
            lines.append(f"{indent}<{name}/>")
            return
        lines.append(f"{indent}<{name}>")
        for one in value.values:
            _write(lines, value.member, one, indent + _INDENT)
        lines.append(f"{indent}</{name}>")
    else:
        # The long form also when it is empty: clients read the short one as unset.
        lines.append(f"{indent}<{name}>{_text(value)}</{name}>")


def _write_tree(lines: list[str], name: str, tree: Tree, indent: str) -> None:
    start, before, inner = f"{indent}<{name}", len(lines), indent + _INDENT
    elements = len(tree)
    for key in _ATTRIBUTES:
        if key in tree:
            start += f' {key}="{_attribute(tree[key])}"'
            elements -= 1
    if not elements:
        lines.append(start + "/>")
        return
    lines.append(start + ">")
    for key, value in tree.items():
        if key in _ATTRIBUTES:
            continue
        # Said here, too, because a list of VMs is tens of thousands of such lines.
        if isinstance(value, str) and _AS_IT_IS(value):
            lines.append(f"{inner}<{key}>{value}</{key}>")
        else:
            _write(lines, key, value, inner)
    if len(lines) == before + 1:
        lines[before] = start + "/>"
    else:
        lines.append(f"{indent}</{name}>")


def _text(value: str | bool | float | datetime) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="milliseconds")
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return f"{value:.15g}"
    return escape(UNSAYABLE.sub("\ufffd", value))


def _attribute(value: str) -> str:
    if _AS_IT_IS(value):
        return value
    return escape(UNSAYABLE.sub("\ufffd", value), {'"': "&quot;", "\n": "&#10;", "\t": "&#9;", "\r": "&#13;"})


def read(body: bytes) -> Any:
    """Read a document: a tree of its root's children, or its text where it has none.

    Raises:
        Invalid: It is not XML, or has a document type or entities, or is nested deeper than any request.
    """
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, remove_comments=True, remove_pis=True
    )
    try:
        root = etree.fromstring(body, parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise Invalid(f"The body is not well-formed XML: {error}") from None
    if root.getroottree().docinfo.internalDTD is not None or b"<!DOCTYPE" in body:
        raise Invalid("The body may have no document type.")
    return _read(root, 1)


def _read(element: etree._Element, depth: int) -> Any:
    if depth > DEEPEST:
        raise Invalid(f"The body is nested deeper than {DEEPEST} elements.")
    tree: dict[str, Any] = {str(key): str(value) for key, value in element.items()}
    for child in element:
        if not isinstance(child.tag, str):
            raise Invalid("The body may have no entities.")
        name, value = etree.QName(child).localname, _read(child, depth + 1)
        if name not in tree:
            tree[name] = value
        elif isinstance(tree[name], list):
            tree[name].append(value)
        else:
            tree[name] = [tree[name], value]
    return tree or (element.text or "").strip(" \t\r\n")
