"""What is explained of an output: an entry, the highest, a weighted sum, a region, a detection."""
