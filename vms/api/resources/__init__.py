"""The resources, a module each: what one looks like, and what can be asked of it."""
