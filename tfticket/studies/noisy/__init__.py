"""Training under wrong labels."""
