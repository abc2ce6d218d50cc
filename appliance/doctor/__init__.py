"""What is wrong with a host, and what to do about it."""
