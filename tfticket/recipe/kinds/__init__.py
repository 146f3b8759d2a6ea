"""What a recipe of each kind does; glue only."""
