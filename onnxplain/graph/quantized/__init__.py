"""What quantised operators mean in floating-point numbers."""
