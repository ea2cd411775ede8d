"""The library behind the command line: a function a verb. ``import harness`` names the public ones."""
