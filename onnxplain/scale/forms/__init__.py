"""Forms of data sets, one a module."""
