"""Version 1 of the management schema: modules generated from the .proto files of this folder."""
