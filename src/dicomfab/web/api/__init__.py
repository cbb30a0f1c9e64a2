"""The REST interface below ``/api/v1``: the services of the pages and of the command line, for programs."""
