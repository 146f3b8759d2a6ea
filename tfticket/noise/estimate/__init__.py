"""How many labels are wrong, and in what way."""
