"""Tickets of several structures as files for small devices."""
