"""Where clients begin."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User

from tests.api.asking import API, get, get_json, reference
from tests.api.conftest import as_person
from tests.support.scene import MakeVm
from vms.domain.power import VmStatus
from vms.models import VirtualMachine

pytestmark = pytest.mark.django_db


def test_it_leads_to_every_collection(operator: User) -> None:
    client = as_person(operator)
    links = {link.get("rel", ""): link.get("href", "") for link in get(client, "").findall("link")}
    wanted = {"vms", "hosts", "clusters", "events", "jobs", "tags", "templates", "users", "roles", "permissions"}
    assert wanted <= set(links)
    for rel, href in links.items():
        if rel.endswith("/search"):
            assert href == f"{API}/{rel.removesuffix('/search')}?search={{query}}"
        else:
            get(client, href.removeprefix(API))


def test_it_says_which_ovirt_it_speaks_like_and_whom_it_speaks_to(operator: User) -> None:
    client = as_person(operator)
    shown = get(client, "")
    version = [shown.findtext(f"product_info/version/{part}") for part in ("major", "minor", "build", "revision")]
    assert version == ["4", "5", "0", "0"]
    assert shown.findtext("time")
    assert get(client, reference(shown, "authenticated_user")).findtext("user_name") == "oskar@internal"
    # What one client takes for the sign of an older version.
    assert shown.find(".//title") is None


def test_it_counts_what_the_person_may_see(operator: User, outsider: User, make_vm: MakeVm, vm: VirtualMachine) -> None:
    make_vm("down", status=VmStatus.DOWN)
    shown = get_json(as_person(operator), "")
    assert shown["summary"]["vms"] == {"active": "1", "total": "2"}
    assert shown["summary"]["hosts"] == {"active": "1", "total": "1"}
    hidden = get_json(as_person(outsider), "")["summary"]
    assert (hidden["vms"]["total"], hidden["hosts"]["total"], hidden["users"]["total"]) == ("0", "0", "1")


def test_clients_may_ask_for_its_head_alone(operator: User) -> None:
    assert as_person(operator).head(f"{API}/").status_code == 200
