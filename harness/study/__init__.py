"""From the options of a study to its results: plan, run, retry, estimate and look up."""
