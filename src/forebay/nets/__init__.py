"""Networks in Keras on three backends, and their export."""
