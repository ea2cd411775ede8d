"""The NAS-Bench-201 cell space (Dong & Yang, ICLR 2020, arXiv:2001.00326)."""
