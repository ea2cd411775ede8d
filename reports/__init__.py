"""From run folders to rankings, figures and pages. Reads results; never runs a search."""
