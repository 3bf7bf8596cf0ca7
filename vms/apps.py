"""Django's entry point of the application `vms`."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class VmsConfig(AppConfig):
    """Virtual machines, their power policy and everything that is done to them."""

    name = "vms"
    verbose_name = _("Virtual machines")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Listen for what Django tells."""
        from vms.engine import people  # noqa: F401  (importing it connects its receivers)
        from vms.live import publishing  # noqa: F401  (likewise)
