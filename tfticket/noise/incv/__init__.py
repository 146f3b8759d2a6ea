"""Iterative noisy cross-validation: which examples have the right label."""
