"""Makes Django run the portal's own system checks."""

from django.apps import AppConfig


class PortalConfig(AppConfig):
    """The project itself as an application: it has no models, only checks and signals."""

    name = "portal"
    verbose_name = "VM Portal"

    def ready(self) -> None:
        """Register the checks, and what gives requests their ids."""
        from portal import checks, correlation  # noqa: F401  (importing them registers it)
