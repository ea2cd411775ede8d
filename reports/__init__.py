"""From run folders to rankings, figures and pages. Reads results; never runs a search."""

if __name__ != "harness.reports":  # from the root of a checkout, where every class would be there twice
    raise ImportError("this folder is imported as harness.reports: write harness.reports in the place of reports")
