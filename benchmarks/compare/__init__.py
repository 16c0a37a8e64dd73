"""Methods, models and batches side by side with every peer here: ``python -m benchmarks.compare``."""
