"""Every word that a page shows comes from the catalogues, and German has all of them."""

from __future__ import annotations

import gettext
import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.core.mail import get_connection
from django.urls import reverse
from django.utils import timezone, translation

from tests.support.scene import LogIn, MakeOperation, MakeVm, pending
from vms import actions, letters
from vms.domain.operation import Outcome, StepKind
from vms.domain.power import Action, VmStatus
from vms.live import viewers
from vms.models import Event, Host, Mail, VirtualMachine

ROOT = Path(settings.BASE_DIR)
CATALOGUES = Path("vms/locale/de/LC_MESSAGES")
TAGS = re.compile(r"</?\w+>")

#: What pages show as it is in every language: names of the scene, ids, units, and words of protocols and filters.
DATA = re.compile(
    r"\b(ada|grace|kvm1|web01|db01|old01|root|VM Portal|Administrator|Manager|Operator|Viewer|nightly kernel|qemu|"
    r"system|UTC|[KMGT]iB|English|Deutsch|name|web|status=up|pending=yes|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})\b"
)
#: Attributes that people read or hear.
READ = re.compile(r"aria-label|aria-description|title|alt|placeholder|data-(announce|message|offline|\d+|label-.*)")
#: Elements whose text nobody is to read as words.
SILENT = ("script", "style", "code", "pre")


def marked(text: str) -> str:
    """Return a message as this test's language has it: all of it in brackets, but for what is put into it."""
    parts = re.split(r"(%%|%\(\w+\)s|%s|%d)", text)
    return "".join(part if part.startswith("%") or not part else f"⟦{part}⟧" for part in parts)


@pytest.fixture
def brackets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have pages in a language in which everything that is translated stands in brackets."""
    translation.gettext("")
    catalogue: Any = vars(translation)["_trans"]
    for name in ("ngettext", "pgettext", "npgettext"):
        getattr(catalogue, name)  # is there from now on
    monkeypatch.setattr(catalogue, "gettext", marked)
    monkeypatch.setattr(catalogue, "ngettext", lambda one, many, number: marked(one if number == 1 else many))
    monkeypatch.setattr(catalogue, "pgettext", lambda _about, text: marked(text))
    monkeypatch.setattr(catalogue, "npgettext", lambda _about, one, many, number: marked(one if number == 1 else many))


class Words(HTMLParser):
    """All that a page lets somebody read or hear."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.said: list[str] = []
        self._silent = 0
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Gather what its attributes say."""
        self._silent += tag in SILENT
        self.said += [value for name, value in attrs if value and READ.fullmatch(name)]

    def handle_endtag(self, tag: str) -> None:
        """Listen again."""
        self._silent -= tag in SILENT

    def handle_data(self, data: str) -> None:
        """Gather text."""
        if not self._silent:
            self.said.append(data)

    @property
    def untranslated(self) -> list[str]:
        """What stands in no brackets, has letters, and is no name."""
        rest = re.sub(r"⟦[^⟦⟧]*⟧", " ", "\n".join(self.said))
        return [line.strip() for line in DATA.sub(" ", rest).splitlines() if re.search(r"[^\W\d_]", line)]


def test_every_word_of_the_pages_comes_from_the_catalogues(
    brackets: None, log_in: LogIn, admin: User, host: Host, make_vm: MakeVm, make_operation: MakeOperation
) -> None:
    admin.is_superuser = True
    admin.save()
    up, down = make_vm("web01", **pending(memory=8 << 30)), make_vm("old01", VmStatus.DOWN)
    rebooting = make_vm("db01", VmStatus.REBOOT_IN_PROGRESS)
    ended = make_operation(up, outcome=Outcome.GAVE_UP, reason="nightly kernel")
    ended.steps.create(number=1, kind=StepKind.ASK_AGENT, at=timezone.now(), ok=True)
    running = make_operation(rebooting)
    plain = ("vm_list", "operation_list", "event_list", "host_list", "host_add", "portal_defaults", "account")
    own = ("change_password", "end_sessions", "two_factor_enable", "api_token_make")
    addresses = [reverse(name) for name in plain + own]
    addresses += [reverse("operation_detail", args=[operation.pk]) for operation in (running, ended)]
    addresses += [reverse(name, args=[host.pk]) for name in ("host_edit", "host_remove")]
    tabs = (
        "vm_detail",
        "vm_operations",
        "vm_events",
        "vm_permissions",
        "vm_definition",
        "vm_console",
        "vm_menu",
        "vm_edit",
        "vm_pending",
    )
    addresses += [reverse(name, args=[up.pk]) for name in tabs]
    addresses += [f"{reverse('vm_toolbar')}?vm={up.pk}", f"{reverse('vm_run_once')}?vm={down.pk}"]
    asked = set(Action) - {Action.RUN_ONCE}
    addresses += [f"{reverse('vm_action', args=[action])}?vm={up.pk}&vm={rebooting.pk}" for action in asked]
    addresses += [f"{reverse('vm_action', args=[action])}?vm={up.pk}" for action in asked]
    client = log_in(admin)
    found = {}
    for address in addresses:
        answer = client.get(address)
        assert answer.status_code in (200, 409), address
        found[address] = Words(answer.content.decode()).untranslated
    assert not {address: words for address, words in found.items() if words}


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the sources, in which the catalogues were made anew."""
    copy = tmp_path_factory.mktemp("sources")
    for part in ("portal", "vms", "templates", "static"):
        shutil.copytree(ROOT / part, copy / part, ignore=shutil.ignore_patterns("__pycache__", "vendor"))
    shutil.copy(ROOT / "manage.py", copy)
    command, ours = [sys.executable, "manage.py", "messages"], {"DJANGO_SETTINGS_MODULE": "portal.settings"}
    made = subprocess.run(command, cwd=copy, env=os.environ | ours, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
    return copy / CATALOGUES


def sentences(catalogue: Path) -> dict[Any, str]:
    """Return what a compiled catalogue says, by message; plurals each by themselves."""
    with catalogue.open("rb") as file:
        said: dict[Any, str] = vars(gettext.GNUTranslations(file))["_catalog"]
    return {message: text for message, text in said.items() if message}


def test_the_catalogues_are_up_to_date(fresh: Path) -> None:
    def kept(catalogue: Path) -> list[str]:
        return [line for line in catalogue.read_text().splitlines() if not line.startswith('"POT-Creation-Date')]

    assert kept(fresh / "django.po") == kept(ROOT / CATALOGUES / "django.po"), "run ./dev messages"
    assert sentences(fresh / "django.mo") == sentences(ROOT / CATALOGUES / "django.mo"), "run ./dev messages"


def test_german_has_every_sentence(fresh: Path) -> None:
    command = ["msgfmt", "--check", "--statistics", "--output-file=/dev/null", str(fresh / "django.po")]
    said = subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ | {"LC_ALL": "C"}).stderr
    assert re.fullmatch(r"\d+ translated messages\.\n", said), said
    # That placeholders agree is what msgfmt has checked.
    for message, text in sentences(fresh / "django.mo").items():
        english = message[0] if isinstance(message, tuple) else message
        assert sorted(TAGS.findall(text)) == sorted(TAGS.findall(english)), english


def test_pages_speak_what_a_person_prefers_else_what_the_browser_asks_for(
    log_in: LogIn, viewer: User, vm: VirtualMachine
) -> None:
    client = log_in(viewer)
    german = {"accept-language": "de-AT,de;q=0.9"}
    assert "Virtual machines" in client.get(reverse("vm_list")).content.decode()
    assert "Virtuelle Maschinen" in client.get(reverse("vm_list"), headers=german).content.decode()
    sent = {"first_name": "Vera", "last_name": "Berg", "language": "de", "theme": "dark", "shortcuts": "on"}
    saved = client.post(reverse("account_person"), sent, follow=True).content.decode()
    assert "Die Einstellungen wurden gespeichert." in saved
    assert '<html lang="de" data-theme="dark">' in saved
    client.post(reverse("account_person"), sent | {"language": "en", "theme": ""})
    assert '<html lang="en">' in client.get(reverse("vm_list"), headers=german).content.decode()
    assert client.post(reverse("account_person"), sent | {"language": "tlh"}).status_code == 422


def test_the_stream_speaks_it_too(log_in: LogIn, viewer: User) -> None:
    client = log_in(viewer)
    cookie = f"{settings.SESSION_COOKIE_NAME}={client.session.session_key}"
    found = viewers.find({"cookie": cookie, "accept-language": "en"})
    assert found is not None
    assert found.language == "en"
    actions.set_preferences(viewer, language="de")
    again = viewers.again([found])[found]
    assert again is not None
    assert again.language == "de"
    assert again.kind != found.kind, "they are not shown what is rendered for the others"
    actions.set_preferences(viewer, language="")
    assert getattr(viewers.again([again])[again], "language", None) == "en"


def test_events_are_english_and_refusals_are_not(log_in: LogIn, operator: User, vm: VirtualMachine) -> None:
    actions.set_preferences(operator, language="de")
    client = log_in(operator)
    client.post(reverse("vm_action", args=[Action.REBOOT]), {"vm": str(vm.pk), "force": "", "delay": "", "reason": ""})
    assert Event.objects.latest("id").message.startswith("Reboot of web01 was asked for by oskar.")
    refused = client.get(reverse("vm_action", args=[Action.RUN]), {"vm": str(vm.pk)}).content.decode()
    assert "Starten nicht möglich" in refused


def test_a_mail_speaks_what_its_reader_prefers(viewer: User, vm: VirtualMachine, make_operation: MakeOperation) -> None:
    operation = make_operation(vm, outcome=Outcome.FAILED)
    written = Mail.objects.create(user=viewer, operation=operation)
    connection = get_connection("django.core.mail.backends.locmem.EmailBackend")
    assert letters.notice(written, connection).subject == "web01: Reboot – Failed"
    actions.set_preferences(viewer, language="de")
    german = letters.notice(Mail.objects.get(), connection)
    assert german.subject == "web01: Neustart – Fehlgeschlagen"
    assert "Was man tun kann" in german.body
