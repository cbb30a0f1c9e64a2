"""SQL: the database of an installation, its migrations, and one repository for each kind of thing kept."""
