"""Who may come to a page at all: the one decorator of every view."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, cast

from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache
from django_htmx.middleware import HtmxDetails

from vms import permissions

P = ParamSpec("P")


class Request(HttpRequest):
    """A request as the portal's views get it: of somebody logged in, with what htmx says about itself."""

    htmx: HtmxDetails
    user: User


View = Callable[Concatenate[Request, P], HttpResponse]


def needs(
    permission: str, *, kept: bool = False
) -> Callable[[View[P]], Callable[Concatenate[HttpRequest, P], HttpResponse]]:
    """Let only those in who are logged in and have a permission somewhere; others go to the login page or get 403.

    What the page shows, and what it does to which VM, is looked at for each VM.

    Args:
        kept: The view says itself how long its answer may be kept. Otherwise it never is: it is the state of this
            moment.
    """

    def decorate(view: View[P]) -> Callable[Concatenate[HttpRequest, P], HttpResponse]:
        @login_required
        @wraps(view)
        def guarded(request: HttpRequest, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
            permissions.require(permissions.somewhere(request.user, permission))
            return view(request, *args, **kwargs)  # type: ignore[arg-type]  # it is one: see above

        answering = guarded if kept else never_cache(guarded)
        return cast("Callable[Concatenate[HttpRequest, P], HttpResponse]", answering)

    return decorate


def signed_in(view: View[P]) -> Callable[Concatenate[HttpRequest, P], HttpResponse]:
    """Let everybody in who is logged in: the page is about nobody but themselves."""
    return cast("Callable[Concatenate[HttpRequest, P], HttpResponse]", never_cache(login_required(view)))
