"""onnxplain: why an ONNX model says what it says."""
