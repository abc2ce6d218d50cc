"""The gRPC plane: one servicer a file, each thin; what they do to the data plane is catalogue's."""

import os

# What gRPC logs of its own beside our one line; it reads this once, when it is imported.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
