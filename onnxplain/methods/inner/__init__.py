"""Methods that look at values inside a model: what flows through layers and neurons."""
