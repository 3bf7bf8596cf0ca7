"""The web server's entry point."""

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")

application = get_asgi_application()

from django.conf import settings  # noqa: E402  (Django must be set up first)

# No management command runs here, so nobody else would look at the checks.
settings.PORTAL_CONFIG.require()
