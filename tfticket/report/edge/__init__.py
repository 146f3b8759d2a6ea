"""The report of a run of the kind `edge`: files against one another, and the one to ship."""
