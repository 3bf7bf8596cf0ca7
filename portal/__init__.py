"""The composition root: settings, processes and URLs. It knows `vms`; nothing in `vms` knows it."""

from portal.celery import app as celery_app

__all__ = ["celery_app"]
