"""Random well-formed ONNX graphs, and what must hold for each of them."""
