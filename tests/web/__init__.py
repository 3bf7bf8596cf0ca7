"""The pages, through Django's test client: one module for each address."""
