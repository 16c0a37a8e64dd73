"""Which rule goes to which node: matchers, presets, composites in files."""
