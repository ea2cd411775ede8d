"""The search spaces, one folder each. ``base.py`` says what a space is."""
