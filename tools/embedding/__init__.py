"""What ``tools/make_embedding.py`` measures, and what it makes of that."""
