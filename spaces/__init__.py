"""The search spaces, one folder each. ``base.py`` says what a space is."""

if __name__ != "harness.spaces":  # from the root of a checkout, where every class would be there twice
    raise ImportError("this folder is imported as harness.spaces: write harness.spaces in the place of spaces")
