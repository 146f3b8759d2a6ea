"""Tables and sentences made of the published cards, one module for each page of results."""
