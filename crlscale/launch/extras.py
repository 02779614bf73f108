"""Packages that a launcher needs and that crlscale does not install by itself."""

import importlib

from crlscale.errors import CrlscaleError


def need(package: str, extra: str):
    """The module `package`; a CrlscaleError that names the extra where it is not installed."""
    try:
        return importlib.import_module(package)
    except ImportError as missing:
        raise CrlscaleError(
            f"--launcher {extra} needs the package {package}: {missing}",
            value=extra,
            remedy=f"pip install 'crlscale[{extra}]'",
        ) from None
