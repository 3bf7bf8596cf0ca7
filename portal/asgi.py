"""The web server's entry point."""

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")

application = get_asgi_application()

from django.conf import settings  # noqa: E402  (Django must be set up first)
from django.db import connections  # noqa: E402

# Each request has a thread of its own, which ends with it: a connection kept open would be of no use to any other, and
# be left behind until the garbage is collected.
for database in connections.settings.values():
    database["CONN_MAX_AGE"] = 0

# No management command runs here, so nobody else would look at the checks.
settings.PORTAL_CONFIG.require()
