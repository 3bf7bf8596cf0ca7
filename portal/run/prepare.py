"""What must be true of the database and the static files before the processes start."""

import hashlib
import io
import os
from pathlib import Path

from portal import env


def prepare_database(config: env.Config) -> str:
    """Migrate, make the administrator, register the host. Returns the state of the administrator's password.

    The states are those of the command `ensure_admin`.
    """
    import django
    from django.core.management import call_command
    from django.db import connections

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
    django.setup()
    call_command("check", stdout=io.StringIO())
    call_command("migrate", interactive=False, verbosity=0)
    state = io.StringIO()
    # A password given explicitly is an order; one that was made up at the first start is a beginning.
    call_command("ensure_admin", set_password=bool(config.admin_password), stdout=state)
    call_command("register_host", config.libvirt_uri, stdout=io.StringIO())
    connections.close_all()
    return state.getvalue().strip()


def prepare_static_files(config: env.Config) -> None:
    """Collect and compress the static files, unless that was done for exactly these files before."""
    from django.contrib.staticfiles import finders
    from django.core.management import call_command

    if config.debug:
        return
    stamp = config.home / "static" / ".collected"
    digest = hashlib.sha256()
    for finder in finders.get_finders():
        for name, storage in finder.list([]):
            found = Path(storage.path(name)).stat()
            digest.update(f"{name} {found.st_size} {found.st_mtime_ns}\n".encode())
    if stamp.is_file() and stamp.read_text() == digest.hexdigest():
        return
    stamp.unlink(missing_ok=True)
    call_command("collectstatic", interactive=False, clear=True, verbosity=0)
    stamp.write_text(digest.hexdigest())
