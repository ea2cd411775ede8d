if __name__ == "harness":  # Python was started in tests/
    raise ImportError("these are the tests of harness, not harness: start Python in the folder above, the checkout")
