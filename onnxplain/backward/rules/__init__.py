"""What replaces a gradient: relevance propagation and the guided family."""
