"""Whether what an explanation calls important matters to the model."""
