"""Whether an explanation depends on what the model has learned."""
