"""Settings that a comparison fixes: protocols, recipes and the options of a study."""
