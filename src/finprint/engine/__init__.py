"""Where work on many jobs is done: in this process, or on the nodes of a cluster."""
