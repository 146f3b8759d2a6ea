"""Reads the files of a run and tells what came out: numbers, tables, figures, one page.

Nothing here imports Keras or TensorFlow, and nothing but `canvas`, `plots` and `pictures` imports
matplotlib.
"""
