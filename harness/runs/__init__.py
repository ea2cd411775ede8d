"""Run folders: their files, their identity, the process that fills one, and how they are read."""
