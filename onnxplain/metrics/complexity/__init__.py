"""Whether an explanation is simple enough to be understood."""
