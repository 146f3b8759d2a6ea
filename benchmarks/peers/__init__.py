"""Peers that run in a process of their own, by `python -m`; no other module imports them."""
