"""Methods as data: points, question, combination; and the loop that runs them."""
