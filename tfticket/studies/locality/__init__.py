"""Locality of tickets, on signals as they are and arranged anew, and architectures read off it."""
