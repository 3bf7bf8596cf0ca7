"""The description says all that is there, and says it of both forms."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import URLPattern, get_resolver, reverse

from tests.api.conftest import as_person
from tests.support.scene import LogIn, log_in  # noqa: F401  (a fixture: pytest finds it by its name)
from vms.api.declare import BASE, Group, Kind, Many, Member, Reference, Resource, Scalar
from vms.api.description.document import METHODS, addresses, document
from vms.api.description.schemas import Components, Form
from vms.api.endpoint import Endpoint, NothingHere
from vms.api.resources.vm import VM
from vms.models import VirtualMachine

EVERY_KIND: Resource[Any] = Resource(
    "thing",
    "things",
    "things",
    lambda it: it,
    members=(
        Scalar("name", Kind.TEXT, lambda it: "", written=True),
        Scalar("small", Kind.TEXT, lambda it: "", words=("yes", "no")),
        Scalar("big", Kind.FLAG, lambda it: True, "How big.", written=True),
        Scalar("size", Kind.WHOLE, lambda it: 1, written=True, limits=(1, 9)),
        Scalar("since", Kind.MOMENT, lambda it: None),
        Scalar("share", Kind.NUMBER, lambda it: None),
        Reference("host", "hosts", lambda it: 1, written=True),
        Group("inner", (Scalar("deep", Kind.WHOLE, lambda it: 1),)),
        Many("parts", Scalar("part", Kind.TEXT, lambda it: ""), lambda it: [], written=True),
    ),
)


@pytest.fixture
def described() -> dict[str, Any]:
    """The description, as a program reads it."""
    found: dict[str, Any] = json.loads(Client().get(f"{BASE}/openapi.json").content)
    return found


def test_every_address_and_every_method_is_described(described: dict[str, Any]) -> None:
    views = {
        getattr(pattern.callback, "view_class", None)
        for pattern in get_resolver("vms.api.urls").url_patterns
        if isinstance(pattern, URLPattern)
    }
    assert views - {address.view for address in addresses()} == {NothingHere}
    missing = [
        f"{method} {address.path}: {address.view.__name__}.exchange does not say what it takes and gives"
        for address in addresses()
        for method in METHODS
        if hasattr(address.view, method) and method not in described["paths"].get(address.path, {})
    ]
    assert missing == []


def test_each_call_has_a_sentence_and_a_name_of_its_own(described: dict[str, Any]) -> None:
    calls = [call for path in described["paths"].values() for method, call in path.items() if method in METHODS]
    names = [call["operationId"] for call in calls]
    assert len(set(names)) == len(names)
    assert [call for call in calls if not call["summary"] or not call["description"]] == []


def test_a_view_of_which_nothing_says_what_it_gives_is_left_out() -> None:
    class Silent(Endpoint):
        def get(self) -> None:
            """Say nothing."""

    (address, *_) = addresses()
    assert type(address)(address.path, Silent).exchange("get") is None


def test_the_forms_differ_in_their_scalars() -> None:
    components = Components()
    components.shown(EVERY_KIND, Form.JSON)
    components.shown(EVERY_KIND, Form.XML)
    in_json = components.schemas["ThingInJson"]["properties"]
    in_xml = components.schemas["ThingInXml"]["properties"]
    assert in_json["big"] == {"type": "string", "enum": ["true", "false"], "description": "How big."}
    assert in_xml["big"] == {"type": "boolean", "description": "How big."}
    assert (in_json["size"]["type"], in_xml["size"]) == ("string", {"type": "integer", "minimum": 1, "maximum": 9})
    assert (in_json["since"]["type"], in_xml["since"]["format"]) == ("integer", "date-time")
    assert in_json["small"] == in_xml["small"] == {"type": "string", "enum": ["yes", "no"]}
    assert in_json["share"] == in_xml["share"] == {"type": "number"}
    assert in_json["parts"] == {
        "type": "object",
        "properties": {"part": {"type": "array", "items": {"type": "string"}}},
    }
    assert in_xml["parts"] == {
        "type": "array",
        "items": {"type": "string", "xml": {"name": "part"}},
        "xml": {"wrapped": True},
    }
    assert in_xml["id"] == {"type": "string", "xml": {"attribute": True}}


def test_only_what_may_be_written_is_described_as_sent() -> None:
    components = Components()
    components.sent(EVERY_KIND, Form.JSON)
    sent = components.schemas["ThingSentInJson"]["properties"]
    assert set(sent) == {"name", "big", "size", "host", "parts"}
    assert {"type": "boolean"} in sent["big"]["anyOf"]
    assert {"type": "integer", "minimum": 1, "maximum": 9} in sent["size"]["anyOf"]
    assert sent["host"]["anyOf"] == [{"required": ["id"]}, {"required": ["name"]}]


def named(members: tuple[Member, ...]) -> set[str]:
    """Return the names of members."""
    return {member.name for member in members}


def test_a_vm_is_described_as_it_is_shown(admin: User, vm: VirtualMachine, described: dict[str, Any]) -> None:
    answer = as_person(admin).get(f"{BASE}/vms/{vm.pk}", headers={"Accept": "application/json"})
    shown, properties = json.loads(answer.content), described["components"]["schemas"]["VmInJson"]["properties"]
    assert set(shown) <= set(properties)
    assert named(VM.members) <= set(properties)


def test_the_portals_own_additions_are_described(described: dict[str, Any]) -> None:
    reboot = described["paths"][f"{BASE}/vms/{{vm_id}}/reboot"]["post"]
    assert set(reboot["requestBody"]["content"]) == {"application/xml", "text/xml", "application/json"}
    sent = reboot["requestBody"]["content"]["application/json"]["schema"]["properties"]
    assert {"force", "reason", "graceful_delay"} <= set(sent)
    (delay,) = [one for one in reboot["parameters"] if one["name"] == "graceful_delay"]
    assert delay["schema"] == {"type": "integer", "minimum": 0, "maximum": 3600}
    policy = described["components"]["schemas"]["VmInXml"]["properties"]["power_down_policy"]
    assert set(policy["properties"]) == {"force", "graceful_delay"}


def test_every_reference_leads_somewhere(described: dict[str, Any]) -> None:
    def references(node: Any) -> list[str]:
        if isinstance(node, dict):
            return [node["$ref"]] if "$ref" in node else [ref for inner in node.values() for ref in references(inner)]
        return [ref for inner in node for ref in references(inner)] if isinstance(node, list) else []

    found = set(references(described))
    assert found
    assert found == {f"#/components/schemas/{name}" for name in described["components"]["schemas"]}


def test_it_is_json_whatever_is_accepted_and_needs_no_login() -> None:
    answer = Client().get(f"{BASE}/openapi.json", headers={"Accept": "application/xml"})
    assert (answer.status_code, answer["Content-Type"]) == (200, "application/json")
    assert json.loads(answer.content) == document()
    assert json.loads(answer.content)["openapi"] == "3.1.0"


def test_options_is_refused_in_the_form_that_was_asked_for(admin: User) -> None:
    answer = as_person(admin).options(f"{BASE}/vms")
    assert (answer.status_code, answer["Content-Type"]) == (405, "application/xml")
    assert b"<fault>" in answer.content


def test_the_page_shows_every_call_and_loads_nothing_from_elsewhere(
    viewer: User,
    log_in: LogIn,  # noqa: F811  (the fixture imported above)
    described: dict[str, Any],
) -> None:
    answer = log_in(viewer).get(reverse("api_docs"))
    page = answer.content.decode()
    for path, calls in described["paths"].items():
        for method in calls.keys() & set(METHODS):
            assert f"{method.upper()} {path}" in page
    assert "power_down_policy.graceful_delay" in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "https://" not in page
    assert "script-src 'self';" in answer["Content-Security-Policy"]


def test_the_page_is_for_people_who_have_logged_in(db: None) -> None:
    answer = Client().get(reverse("api_docs"))
    assert answer.status_code == 302
    assert answer["Location"].startswith("/login/")
