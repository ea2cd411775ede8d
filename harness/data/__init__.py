"""Data sets: what there is, reading their files, and the training images that a search may see."""
