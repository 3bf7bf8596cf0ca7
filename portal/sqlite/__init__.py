"""Django's database backend for SQLite, with writers that wait for each other in shorter steps (see `base`)."""
