"""The authority on a request's id: what links it with its operations, their events, and every log line about them.

A proxy or a script may choose the id with the header `X-Request-ID`; one that is not well formed is replaced. The
answer names it in the same header.
"""

import re
from typing import Any

from django.dispatch import receiver
from django.http import HttpRequest, HttpResponse
from django_structlog import signals
from django_structlog.celery import signals as celery_signals
from structlog.contextvars import bind_contextvars, get_contextvars

HEADER = "X-Request-ID"
_WELL_FORMED = re.compile(r"[0-9A-Za-z_-]{1,36}")
#: What a log line says of the work it belongs to. A task does other work: it says so itself.
_OF_THE_WORK = ("correlation_id", "operation", "vm")


@receiver(signals.bind_extra_request_metadata)
def _bind(request: HttpRequest, **kwargs: Any) -> None:
    given = request.META.get("HTTP_X_REQUEST_ID", "")
    request_id = given if _WELL_FORMED.fullmatch(given) else get_contextvars()["request_id"]
    bind_contextvars(request_id=request_id, correlation_id=request_id)


@receiver(signals.bind_extra_request_finished_metadata)
@receiver(signals.update_failure_response)
def _tell(response: HttpResponse, **kwargs: Any) -> None:
    if "request_id" in (known := get_contextvars()):
        response[HEADER] = known["request_id"]


@receiver(celery_signals.modify_context_before_task_publish)
def _keep_to_oneself(context: dict[str, Any], **kwargs: Any) -> None:
    for name in _OF_THE_WORK:
        context.pop(name, None)
