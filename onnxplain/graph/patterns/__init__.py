"""What exporters write out in many nodes, found again: normalisations, activations, gates, attention..."""
