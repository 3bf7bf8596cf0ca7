"""What the tests of resources ask with, and how they read what is answered."""

from __future__ import annotations

import json
from typing import Any

from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from lxml import etree

API = "/ovirt-engine/api"
NOBODYS = "8d7ef6a4-0a3c-4a9a-9e53-6f7c0a1f3b11"


def get(client: Client, path: str, status: int = 200) -> etree._Element:
    """Return what an address shows, as XML."""
    answer = client.get(API + path)
    assert answer.status_code == status, answer.content
    assert answer["Content-Type"] == "application/xml"
    return etree.fromstring(answer.content)


def get_json(client: Client, path: str) -> Any:
    """Return what an address shows, as JSON."""
    answer = client.get(API + path, headers={"Accept": "application/json"})
    assert answer.status_code == 200, answer.content
    return json.loads(answer.content)


def post(client: Client, path: str, body: str, status: int = 201) -> etree._Element:
    """Send XML and return what is answered."""
    answer = client.post(API + path, body, content_type="application/xml")
    assert answer.status_code == status, answer.content
    return etree.fromstring(answer.content)


def delete(client: Client, path: str, status: int = 200) -> None:
    """Delete something."""
    answer = client.delete(API + path)
    assert answer.status_code == status, answer.content


def names(collection: etree._Element, element: str = "name") -> list[str | None]:
    """Return what the members of a collection are called."""
    return [member.findtext(element) for member in collection]


def reference(element: etree._Element, name: str) -> str:
    """Return the path, below the API's base, of what an element refers to."""
    found = element.find(name)
    assert found is not None
    assert found.get("href") == f"{API}/{found.get('href', '').removeprefix(API + '/')}"
    assert found.get("href", "").endswith(f"/{found.get('id')}")
    return found.get("href", "").removeprefix(API)


def asked(client: Client, path: str) -> int:
    """Return by how many queries an address is answered."""
    with CaptureQueriesContext(connection) as queries:
        get(client, path)
    return len(queries)


def superuser() -> User:
    """Make somebody who may do everything."""
    return User.objects.create_superuser("sue", password="a password")
