"""What the workers count, over HTTP: for Prometheus at /metrics, for people as a page at /."""
