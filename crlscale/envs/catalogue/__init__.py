"""The tasks as plain data, one file a family; no jax. Numbers of the physics tasks are facts of the
public environments of arXiv 2503.14858, restated."""
