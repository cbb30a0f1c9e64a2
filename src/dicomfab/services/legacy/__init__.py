"""Moving over from the predecessor: its JSON files are read, judged entry by entry, and carried out by our services."""
