"""The page of a report: its elements, sections and sentences."""
