"""Where the description is found: as OpenAPI beside the API, and as a page of the portal, which loads nothing else."""

from __future__ import annotations

import json
from functools import cache
from itertools import groupby

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe
from rest_framework.request import Request

from vms.api.declare import Group
from vms.api.description import document
from vms.api.description.rows import Call, call
from vms.api.endpoint import Endpoint
from vms.api.exchange import Exchange
from vms.api.forms import JsonRenderer


class OpenApi(Endpoint):
    """This description."""

    # It says nothing about this portal that its source does not.
    permission_classes = ()
    renderer_classes = (JsonRenderer,)

    @classmethod
    def exchange(cls, method: str) -> Exchange:
        """Return an object, of which OpenAPI itself says what is in it."""
        return Exchange(gives=Group("openapi", ()))

    def get(self, request: Request) -> HttpResponse:
        """Show it as OpenAPI 3.1."""
        return HttpResponse(json.dumps(document.document()), content_type=JsonRenderer.media_type)


@cache
def calls() -> list[tuple[str, list[Call]]]:
    """Return what can be asked, by what it is about, in the order of the addresses."""
    found = [call(address, method) for address in document.addresses() for method in address.methods]
    by_subject = sorted((call for call in found if call is not None), key=lambda call: call.subject)
    return [(subject, list(group)) for subject, group in groupby(by_subject, key=lambda call: call.subject)]


@require_safe
@login_required
def docs(request: HttpRequest) -> HttpResponse:
    """The page: every address, what it takes and what it answers."""
    return render(request, "api/docs.html", {"subjects": calls()})
