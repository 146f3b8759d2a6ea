"""Extensions of Sphinx that the site of tfticket needs and nobody else has."""
