"""Backups of a whole installation: taken while it runs, checked, put back."""
