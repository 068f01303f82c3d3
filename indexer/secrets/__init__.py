"""What is taken out of texts before anything is kept of them."""
