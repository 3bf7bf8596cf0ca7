"""Debian's Chromium, driven by Playwright, whose event loop runs in the test's own thread."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import DEFAULT_DB_ALIAS, connections
from playwright.sync_api import Browser, sync_playwright

CHROMIUM = "/usr/bin/chromium"
_UNSAFE = "DJANGO_ALLOW_ASYNC_UNSAFE"


@contextmanager
def chromium() -> Iterator[Browser]:
    """Run a browser, whose loop must not outlive those who need it: Django takes what runs meanwhile for asynchronous.

    Django keeps other connections for what runs in a loop. One that an earlier browser's tests have left may have been
    made for a database that is gone.
    """
    before = os.environ.get(_UNSAFE)
    os.environ[_UNSAFE] = "true"
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
            _forget_connection()
            yield browser
            _forget_connection()
            browser.close()
    finally:
        if before is None:
            del os.environ[_UNSAFE]
        else:
            os.environ[_UNSAFE] = before


def _forget_connection() -> None:
    connections[DEFAULT_DB_ALIAS].close()
    del connections[DEFAULT_DB_ALIAS]
