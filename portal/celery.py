"""The task queue: which broker promises the portal relies on, and what beat does when.

Tasks are wake-up calls: the database holds everything they need, so any of them may come late, twice or never.
"""

import os
import sys
from typing import Any

from celery import Celery
from celery.schedules import crontab
from celery.signals import beat_init, setup_logging, task_prerun, worker_init
from django.db import close_old_connections
from django_structlog.celery.steps import DjangoStructLogInitStep
from kombu import Queue

from portal import broker
from vms import queues

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")

broker.install()

app = Celery("portal")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
app.steps["worker"].add(DjangoStructLogInitStep)

app.conf.task_queues = [Queue(name) for name in queues.ALL]
app.conf.task_default_queue = queues.NOW

app.conf.beat_schedule = {
    "sweep": {
        "task": "vms.sweep",
        "schedule": 1.0,
        # A sweep that waited in the queue for long is worth nothing: the next ones do the same work.
        "options": {"expires": 5, "ignore_result": True},
    },
    "mail": {
        "task": "vms.send_mail",
        "schedule": 5.0,
        "options": {"expires": 5, "ignore_result": True, "queue": queues.CHORES},
    },
    "webhooks": {
        "task": "vms.deliver",
        "schedule": 5.0,
        "options": {"expires": 5, "ignore_result": True, "queue": queues.CHORES},
    },
    "forget": {
        "task": "vms.forget",
        "schedule": 60.0,
        "options": {"expires": 50, "ignore_result": True, "queue": queues.CHORES},
    },
    "clean-up": {
        "task": "vms.clean_up",
        "schedule": crontab(hour="3", minute="10"),
        "options": {"expires": 3600, "ignore_result": True, "queue": queues.CHORES},
    },
    # The schedule is kept in memory: a night in which nothing ran is not made up for by beat itself.
    "clean-up-missed": {
        "task": "vms.clean_up",
        "schedule": crontab(minute="40"),
        "kwargs": {"catch_up": True},
        "options": {"expires": 1800, "ignore_result": True, "queue": queues.CHORES},
    },
}


# Celery would close the database after every task, and opening it costs as much as a look at a VM.
app.conf["CELERY_DB_REUSE_MAX"] = sys.maxsize


@task_prerun.connect
def _drop_broken_connections(**kwargs: Any) -> None:
    """Open a new connection to the database where the last task found the old one broken, as a web request does."""
    close_old_connections()


@setup_logging.connect
def _use_django_logging(**kwargs: Any) -> None:
    """Having a receiver keeps Celery from setting logging up its own way; Django's set-up has done it."""


@worker_init.connect
@beat_init.connect
def _check_configuration(**kwargs: Any) -> None:
    """Refuse to start on a configuration that has errors, as the web server does."""
    from django.conf import settings

    settings.PORTAL_CONFIG.require()
