"""The gRPC plane: one servicer a file, each thin; what they do to the data plane is catalogue's."""
