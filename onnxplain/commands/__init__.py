"""The command line: what is typed, what is written, and the demo."""
