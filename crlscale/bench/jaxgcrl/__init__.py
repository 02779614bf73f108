"""jaxgcrl, the public package, in an environment of its own beside ours."""
