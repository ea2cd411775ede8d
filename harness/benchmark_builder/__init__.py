"""Building a tabular benchmark: train every cell of a space and record its accuracies."""
