"""The language of pages: what a person prefers, else what their browser asks for."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.utils import translation

from vms.models import Preference


class PreferredLanguageMiddleware:
    """Stands behind Django's own, which goes by the browser, and behind the one that knows who asks."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer in the language that is preferred; Django's own ends with the request."""
        if language := Preference.of(request.user).language:
            translation.activate(language)
            request.LANGUAGE_CODE = translation.get_language()
        return self._get_response(request)
