"""The web interface: pages on the same services as the command line (FastAPI, Jinja, htmx)."""
