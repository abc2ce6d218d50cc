"""synproxyd in a container: what its configuration leaves out, the container says."""
