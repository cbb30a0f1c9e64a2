"""Long work as jobs: submitted and watched by :mod:`.service`, done by :mod:`.worker`, one module for each kind."""
