"""The rewriter: adds a backward pass, ordinary or modified, to a graph."""
