"""What onnxplain costs, beside others and beside itself; README.md has the figures."""
