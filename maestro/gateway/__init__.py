"""The HTTP API: the verbs of the command line over the network, for the pane and for programs."""
