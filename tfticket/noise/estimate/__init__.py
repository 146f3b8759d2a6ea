"""Estimates of the noise rate and of the type of the noise."""
