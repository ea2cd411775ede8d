"""The results of a study by method, seed and side, for tables, figures and texts."""
