"""Whether explanations keep what axioms ask of them."""
