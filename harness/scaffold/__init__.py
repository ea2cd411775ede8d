"""Writing the files of a new method from templates."""
