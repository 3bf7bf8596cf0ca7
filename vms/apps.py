"""Django's entry point of the application `vms`."""

from django.apps import AppConfig


class VmsConfig(AppConfig):
    """Virtual machines, their power policy and everything that is done to them."""

    name = "vms"
    verbose_name = "Virtual machines"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Listen for what Django tells."""
        from vms.engine import people  # noqa: F401  (importing it connects its receivers)
