"""Searches of several seeds: their levels, verdicts, figures, and `study`, which makes them.

What a run of a recipe and a study from Python share, from rows to verdicts.
"""
