"""The files of a new method, written from templates."""
