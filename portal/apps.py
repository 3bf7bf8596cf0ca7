"""Makes Django run the portal's own system checks."""

from django.apps import AppConfig


class PortalConfig(AppConfig):
    """The project itself as an application: it has no models, only checks."""

    name = "portal"
    verbose_name = "VM Portal"

    def ready(self) -> None:
        """Register the checks."""
        from portal import checks  # noqa: F401  (importing it registers them)
