"""synproxy, the management client: `synproxy <noun> <verb>`, a noun a file.

Results go to stdout, everything else to stderr; how a command ends is in exit_codes.
"""
