"""Labels that are given: checked, read, made wrong, and found to be wrong."""
