"""Everything that can go wrong around the engine, in one process and on a clock of its own, by the thousand."""
