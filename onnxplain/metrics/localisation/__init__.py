"""Whether an explanation points at what is known to matter."""
