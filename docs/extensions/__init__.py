"""Sphinx extensions for the documentation of tfticket."""
