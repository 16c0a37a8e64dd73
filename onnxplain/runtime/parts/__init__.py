"""Programs in two parts, of which the first is run once for what it is given: a reference, or a sample."""
