"""The statistics of a report: summaries, intervals and tests. Pure functions of numbers."""
