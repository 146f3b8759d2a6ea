"""The report of a search for tickets."""
