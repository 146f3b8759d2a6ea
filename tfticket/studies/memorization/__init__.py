"""Memorization of wrong labels by sparse networks, density by density."""
