"""Tabular benchmarks: the accuracies recorded for every cell of a search space."""
