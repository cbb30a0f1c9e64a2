"""Populations: many patients with studies over years, as a hospital sees them.

A :class:`~dicomfab.fabricate.population.recipe.PopulationRecipe` decides all of it; :mod:`.plan` gives the studies one
after the other. Everything follows from the seed and the number of the patient, so nothing is held of those before.
"""
