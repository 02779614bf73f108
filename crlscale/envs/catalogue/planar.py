"""reacher, pusher, cheetah: being written."""

FAMILIES = ()
