"""Help where it is needed: every setting is explained where it is set, and every page says once what it is for."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.urls import reverse

from tests.support.scene import LogIn
from vms.domain.power import Action
from vms.models import VirtualMachine

#: Fields that say themselves what they do: the second box of a setting, with the default's value in its label.
_CLEAR = {"force_default", "delay_default"}


@pytest.mark.parametrize("page", ["vm_edit", "reboot", "run_once", "portal_defaults", "host_add"])
def test_every_setting_is_explained_where_it_is_set(log_in: LogIn, admin: User, vm: VirtualMachine, page: str) -> None:
    urls = {
        "vm_edit": reverse("vm_edit", args=[vm.pk]),
        "reboot": f"{reverse('vm_action', args=[Action.REBOOT])}?vm={vm.pk}",
        "run_once": f"{reverse('vm_run_once')}?vm={vm.pk}",
        "portal_defaults": reverse("portal_defaults"),
        "host_add": reverse("host_add"),
    }
    form = log_in(admin).get(urls[page]).context["form"]
    assert [name for name, field in form.fields.items() if not field.help_text and name not in _CLEAR] == []


@pytest.mark.parametrize("page", ["vm_list", "operation_list", "host_list", "event_list", "account"])
def test_a_page_says_what_it_is_for_until_that_is_dismissed(log_in: LogIn, admin: User, page: str) -> None:
    client = log_in(admin)
    html = client.get(reverse(page)).content.decode()
    assert html.count("Try: ") == 1
    hint = page.removeprefix("vm_").removesuffix("_list") if page != "vm_list" else "list"
    key = {"operation": "operations", "host": "hosts", "event": "events"}.get(hint, hint)
    client.post(reverse("preferences"), {"dismiss": key})
    assert "Try: " not in client.get(reverse(page)).content.decode()
