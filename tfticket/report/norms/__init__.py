"""The report of a study of normalization and smoothness."""
