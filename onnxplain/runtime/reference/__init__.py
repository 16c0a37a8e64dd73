"""The reference's share of a program: computed apart from the input's, once for each reference."""
