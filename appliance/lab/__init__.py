"""Real stacks on both sides of synproxyd, in network namespaces, and a flood beside them."""
