"""synproxy, the management client: `synproxy <noun> <verb>`, a noun a file.

Results go to stdout, everything else to stderr; how a command ends is in exit_codes.
"""

# Where cli.connection finds the files of the --tls options: click.Context.meta, which a command's
# context shares.
TLS_FILES = "synproxy.tls_files"

# Of both commands, and of all below them: click hands it down.
HELP = {"help_option_names": ["-h", "--help"]}

# Set by the shells' scripts, as click calls it for a program of this name.
COMPLETE_VARIABLE = "_SYNPROXY_COMPLETE"
