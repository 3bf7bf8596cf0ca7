"""The REST API by Django's own client: what is answered to what. Real clients are in tests/acceptance."""
