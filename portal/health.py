"""Health endpoints for supervisors and load balancers. They need no login and tell nothing but yes or no."""

import structlog
from django.conf import settings
from django.db import Error, connection
from django.http import HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from redis import Redis, RedisError

log = structlog.get_logger(__name__)

#: Seconds Redis has to answer. A health check that hangs is worse than one that says no.
REDIS_TIMEOUT = 2


@never_cache
@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """200 while this process answers requests."""
    return HttpResponse("ok\n", content_type="text/plain")


@never_cache
@require_safe
def readyz(request: HttpRequest) -> HttpResponse:
    """200 when the database and Redis answer too, else 503. What is wrong goes to the log."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        with Redis.from_url(
            settings.REDIS_URL, socket_timeout=REDIS_TIMEOUT, socket_connect_timeout=REDIS_TIMEOUT
        ) as redis:
            redis.ping()
    except (Error, RedisError) as error:
        log.warning("not_ready", error=str(error))
        return HttpResponse("unavailable\n", content_type="text/plain", status=503)
    return HttpResponse("ok\n", content_type="text/plain")
