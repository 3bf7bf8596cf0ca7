"""The composition root: configuration, health, the processes of an instance."""
