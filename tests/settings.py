"""The settings the portal runs with, but for what would only make tests slow."""

import tempfile
from pathlib import Path

from portal.settings import *  # noqa: F403  (that is what the docstring says)
from portal.settings import DATABASES

if DATABASES["default"]["ENGINE"] == "portal.sqlite":
    # A file, as in production: a database in memory cannot be shared by threads that wait for each other, nor by
    # processes. It need not survive a loss of power, only that of a process.
    _directory = tempfile.TemporaryDirectory(prefix="vm-portal-test-")  # goes at exit, with what SQLite put beside it
    DATABASES["default"]["TEST"] = {"NAME": str(Path(_directory.name) / "db.sqlite3")}
    DATABASES["default"]["OPTIONS"]["init_command"] = DATABASES["default"]["OPTIONS"]["init_command"].replace(
        "synchronous=FULL", "synchronous=OFF"
    )

# No page is open but in tests of the stream itself.
LIVE_STREAM = False

# Threads of a test stand in for any number of workers.
HOST_SEATS = 64
_seats = tempfile.TemporaryDirectory(prefix="vm-portal-seats-")
HOST_SEATS_DIRECTORY = _seats.name

# Passwords in tests protect nothing.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
# Nobody collects static files for a test: they are found where they lie.
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = True
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.InMemoryStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
