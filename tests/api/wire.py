"""Speaking XML with the API as a person does through a client, and reading what it answers."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User
from lxml import etree

from tests.api.conftest import as_person
from vms.models import VirtualMachine

VMS = "/ovirt-engine/api/vms"


class Answer:
    """One answer.

    Attributes:
        status: Of HTTP.
        root: The document; None where there is none.
    """

    def __init__(self, response: Any) -> None:
        self.status: int = response.status_code
        self.headers = response.headers
        self.content: bytes = response.content
        self.root = etree.fromstring(response.content) if response.content else None

    def text(self, path: str) -> str | None:
        """Return the text at a path; None where there is nothing."""
        assert self.root is not None
        return self.root.findtext(path)

    def texts(self, path: str) -> list[str]:
        """Return all texts at a path."""
        assert self.root is not None
        return [element.text or "" for element in self.root.iterfind(path)]

    def ref(self, path: str) -> str | None:
        """Return the id of the object that is referred to at a path."""
        assert self.root is not None
        found = self.root.find(path)
        return None if found is None else found.get("id")

    @property
    def detail(self) -> str:
        """The fault's sentence, wherever it is."""
        assert self.root is not None
        return self.root.findtext("detail") or self.root.findtext("fault/detail") or ""


class Wire:
    """A person's client for VMs."""

    def __init__(self, user: User) -> None:
        self.client = as_person(user)

    def get(self, vm: VirtualMachine | None = None, query: str = "") -> Answer:
        """Look at one VM, or at all."""
        return Answer(self.client.get(_address(vm) + query))

    def put(self, vm: VirtualMachine, body: str, query: str = "", **headers: str) -> Answer:
        """Change a VM."""
        return Answer(self.client.put(_address(vm) + query, body, content_type="application/xml", headers=headers))

    def act(self, vm: VirtualMachine, verb: str, body: str = "<action/>", query: str = "", **headers: str) -> Answer:
        """Have something done to a VM."""
        address = f"{_address(vm)}/{verb}{query}"
        return Answer(self.client.post(address, body, content_type="application/xml", headers=headers))

    def delete(self, vm: VirtualMachine, query: str = "") -> Answer:
        """Remove a VM."""
        return Answer(self.client.delete(_address(vm) + query))


def _address(vm: VirtualMachine | None) -> str:
    return VMS if vm is None else f"{VMS}/{vm.pk}"
