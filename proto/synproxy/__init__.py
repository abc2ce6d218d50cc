"""The management schema; see synproxy.v1."""
