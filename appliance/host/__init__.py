"""What this host offers: one fact a module, read from the kernel, changing nothing.

Each yields Refusals: what the configuration asks for and the host doesn't have.
"""
