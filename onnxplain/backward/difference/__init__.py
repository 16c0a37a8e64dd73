"""Walks along differences from a reference input: the second forward pass, quotients, DeepLIFT's rules."""
