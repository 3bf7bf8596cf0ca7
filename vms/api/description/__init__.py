"""The API's description, made from what the code declares: OpenAPI 3.1 for programs, a page for people."""
