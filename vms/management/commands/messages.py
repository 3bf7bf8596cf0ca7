"""`manage.py messages`: read what is to be translated from the sources, and compile what is translated.

Everything stands in one catalogue for each language, that of templates too: `vms/locale/`. See docs/translating.md.
"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand
from django.core.management.commands import makemessages


class _Collect(makemessages.Command):
    """Django's own, without its guesses: a sentence that is almost like another is not translated like it."""

    msgmerge_options = [*makemessages.Command.msgmerge_options, "--no-fuzzy-matching"]


class Command(BaseCommand):
    """Update the catalogues of all languages but English, which the sources are written in."""

    help = "Update vms/locale from the sources, and compile it. Needs gettext (Debian)."

    def handle(self, *args: Any, **options: Any) -> None:
        """Collect, then compile; where something is left to translate, the test of the catalogues says what."""
        languages = [code for code, _name in settings.LANGUAGES if code != settings.LANGUAGE_CODE]
        call_command(
            _Collect(),
            locale=languages,
            ignore_patterns=["tests", "var", "static", ".venv*"],
            add_location="file",
            no_wrap=True,
            no_obsolete=True,
            verbosity=0,
        )
        call_command("compilemessages", locale=languages, ignore_patterns=["var", ".venv*"], verbosity=0)
