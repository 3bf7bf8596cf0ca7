"""The table of behaviours: its rows, which tests show each of them, and the page that says so, made from a run."""
