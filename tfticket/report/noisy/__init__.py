"""The page of training on labels that are partly wrong."""
