"""Neural nets in Keras on three backends, and their export to ONNX."""
