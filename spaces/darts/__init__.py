"""The DARTS cell space (Liu, Simonyan & Yang, ICLR 2019, arXiv:1806.09055)."""
