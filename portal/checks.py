"""System checks: bad configuration stops the start with a sentence that says what to do.

The problems themselves are found in `portal.env`; this module only hands them to Django.
"""

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core import checks
from django.core.checks import CheckMessage, register

from portal.env import Config


@register()
def configuration(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Report everything that is wrong with the environment variables, all at once."""
    config: Config = settings.PORTAL_CONFIG
    return [
        (checks.Error if problem.fatal else checks.Warning)(problem.message, hint=problem.hint, id=problem.id)
        for problem in config.problems
    ]
