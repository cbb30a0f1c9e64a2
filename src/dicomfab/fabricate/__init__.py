"""Recipe to instances: seeded, deterministic and lazy.

``recipe.resolve`` freezes everything that could vary, ``study.fabricate`` yields the encoded instances, ``sinks``
writes them. Importing this package loads nothing; numpy, numba and pydicom come in with the first instance.
"""
