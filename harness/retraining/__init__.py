"""Training a derived cell from scratch and testing it once."""
