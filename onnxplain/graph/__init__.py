"""Graphs: loading, checking, normalising, and writing nodes."""
