"""Reading published benchmark files (NAS-Bench-201, NATS-Bench) as untrusted data."""
