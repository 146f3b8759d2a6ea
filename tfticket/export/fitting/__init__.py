"""Fit a trained network to a device: from a model and a budget to a file."""
