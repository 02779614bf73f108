"""humanoid: being written."""

from crlscale.envs.spec import Family

FAMILY = Family(names=(), build=lambda _name, _options: None, options=frozenset(), env="")
