"""Normalization layers, and what they do to the loss landscape."""
