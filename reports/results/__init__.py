"""The results of a study as methods, seeds and sides: the facts that tables and figures show."""
