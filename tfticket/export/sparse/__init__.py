"""Sparsely stored weights: how a tensor is stored, which layers gain, and what goes wrong."""
