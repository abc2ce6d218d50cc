"""What runs, revision by revision: in memory, and on disk where it is to outlast the daemon."""
