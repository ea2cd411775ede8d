"""Working on several runs at once: processes of this machine, or the workers of a Dask cluster."""
