"""The search loops, epoch by epoch. They see training images alone: no test image and no table."""
