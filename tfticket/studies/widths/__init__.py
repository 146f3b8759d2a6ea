"""Tickets and their controls at several widths of one network."""
