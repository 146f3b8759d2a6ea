"""Paired benchmarks that anyone can run: ours and the other, in turns, in one process."""
