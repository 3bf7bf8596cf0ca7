"""The one cluster, its data center, and the one template: what clients follow, on every run some of them."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User

from tests.api.asking import NOBODYS, get, names, reference
from tests.api.conftest import as_person
from vms.models import VirtualMachine

pytestmark = pytest.mark.django_db


def test_a_vms_cluster_and_template_are_there(operator: User, vm: VirtualMachine) -> None:
    client = as_person(operator)
    shown = get(client, f"/vms/{vm.pk}")
    cluster = get(client, reference(shown, "cluster"))
    assert (cluster.tag, cluster.findtext("name"), cluster.findtext("version/major")) == ("cluster", "Default", "4")
    assert get(client, reference(cluster, "data_center")).findtext("name") == "Default"
    template = get(client, reference(shown, "template"))
    assert (template.findtext("name"), template.findtext("version/version_number")) == ("Blank", "1")


def test_each_is_listed(operator: User) -> None:
    client = as_person(operator)
    assert names(get(client, "/clusters")) == ["Default"]
    assert names(get(client, "/datacenters")) == ["Default"]
    assert names(get(client, "/templates")) == ["Blank"]
    assert names(get(client, "/clusters?max=0")) == []


def test_the_cluster_has_no_affinity_groups(operator: User) -> None:
    client = as_person(operator)
    cluster = get(client, "/clusters")[0].get("id")
    groups = get(client, f"/clusters/{cluster}/affinitygroups")
    assert (groups.tag, len(groups)) == ("affinity_groups", 0)


@pytest.mark.parametrize("path", ["/clusters/{}", "/clusters/{}/affinitygroups", "/datacenters/{}", "/templates/{}"])
@pytest.mark.parametrize("other", [NOBODYS, "Default"])
def test_there_is_no_other(operator: User, path: str, other: str) -> None:
    assert get(as_person(operator), path.format(other), status=404).tag == "fault"
