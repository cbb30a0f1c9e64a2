"""Schema changes, one file each under ``versions``; Alembic runs them when a database is opened."""

HEAD = "0004"
"""The newest revision, kept here so that an up-to-date database opens without loading Alembic."""
