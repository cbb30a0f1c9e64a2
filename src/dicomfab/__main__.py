"""``python -m dicomfab``."""

from dicomfab.cli import entry

entry()
