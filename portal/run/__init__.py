"""What `./dev run` does once everything is installed: prepare an instance, run its processes, leave nothing behind."""
