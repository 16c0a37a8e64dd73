"""Simple models that stand for the model near a sample."""
