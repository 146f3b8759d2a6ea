"""Searches for tickets in several variants of one data set: what such kinds of study share."""
