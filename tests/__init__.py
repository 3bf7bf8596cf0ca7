"""The tests, in rings: each stands on more of the real thing than the one before."""
