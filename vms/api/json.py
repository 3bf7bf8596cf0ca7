"""The JSON form: the same trees, scalars as text but for fractions, dates in milliseconds. Source: REST contract, 8."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from vms.api.declare import DEEPEST, Items, Tree
from vms.api.faults import Invalid

MEDIA_TYPE = "application/json"


def write(value: Tree | Items) -> bytes:
    """Write a document: a tree without its name, a collection as one key."""
    return json.dumps(_plain(value), ensure_ascii=False, separators=(",", ":")).encode(errors="replace")


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, Items):
        return {value.member: [_plain(one) for one in value.values]}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return int(value.timestamp() * 1000)
    if isinstance(value, float):
        return value
    return str(value)


def read(body: bytes) -> Any:
    """Read a document.

    Raises:
        Invalid: It is not JSON, or not an object.
    """
    try:
        tree = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Invalid(f"The body is not JSON: {error}") from None
    if not isinstance(tree, dict):
        raise Invalid("The body is not a JSON object.")
    _check_depth(tree, 1)
    return tree


def _check_depth(value: Any, depth: int) -> None:
    if depth > DEEPEST:
        raise Invalid(f"The body is nested deeper than {DEEPEST} levels.")
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        _check_depth(inner, depth + 1)
