"""Paired benchmarks against peers, run from a clone: `python -m benchmarks NAME [--cores N]`.

Ours and the others run in turns on the same machine; what is compared is the ratio within each
round. `catalog` lists the benchmarks, one module for each area holds them, and `peers` holds what
runs in a process of its own, because it can't be imported beside TensorFlow.
"""
