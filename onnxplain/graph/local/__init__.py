"""What changes of a network's values where a patch of its input changes, layer by layer."""
