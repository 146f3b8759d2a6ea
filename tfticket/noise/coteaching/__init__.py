"""Co-teaching: two networks that select each other's samples."""
