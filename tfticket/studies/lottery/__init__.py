"""Lottery tickets: train, prune, rewind, repeat, and hold each ticket against its controls."""
