"""Bytes of one file of the results folder: read whole, replaced whole, refused in one line."""

import contextlib
import errno
import os
import secrets
import shlex
import time
from pathlib import Path

from crlscale.errors import CrlscaleError

DEBRIS_AFTER_SECONDS = 3600.0
OTHER_RESULTS = "--results FOLDER that you may write"


class Unwritable(CrlscaleError):
    """The disk or a folder refuses a write."""


class Damaged(CrlscaleError):
    """A file that holds nothing readable."""


def read_bytes(path: Path) -> bytes:
    """The bytes of `path`; a missing or unreadable file is a CrlscaleError."""
    try:
        return Path(path).read_bytes()
    except FileNotFoundError:
        raise CrlscaleError(
            f"{path} does not exist", value=str(path), remedy="`crlscale status`, which lists what does"
        ) from None
    except OSError as refused:
        raise CrlscaleError(
            f"cannot read {path}: {refused.strerror}",
            value=str(path),
            remedy="--results FOLDER that you may read",
        ) from None


def replace_file(path: Path, content: bytes) -> None:
    """Write beside `path`, flush to the disk, then rename over it: all or nothing. Makes the
    folder. A full disk or a folder that refuses is a CrlscaleError, and `path` is as it was."""
    path = Path(path)
    part = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as refused:
        _remove(part)
        raise unwritable(path, refused) from None
    except BaseException:
        _remove(part)
        raise
    _remove_debris(path)


def unwritable(path: Path, refused: OSError) -> Unwritable:
    """The error for a file that the disk or its folder refuses."""
    full = refused.errno in (errno.ENOSPC, errno.EDQUOT)
    remedy = "make room, then the same command" if full else OTHER_RESULTS
    words = f"cannot write {path}: {refused.strerror or refused}"
    return Unwritable(words, value=str(path), remedy=remedy)


def damaged(path: Path, how: str) -> Damaged:
    """The error for a file that holds nothing readable, and how its run is done again."""
    path = Path(path)
    remedy = "restore it from a copy, or remove it and type the same command again"
    if path.parent.parent.name == "runs":
        run, study = path.parent, path.parent.parent.parent
        words = ("crlscale", "runs", "redo", study.name, run.name, "--results", str(study.parent))
        remedy = f"{shlex.join(words)}, then the same sweep"
    return Damaged(f"{path} is {how}", value=str(path), remedy=remedy)


def _remove(part: Path) -> None:
    with contextlib.suppress(OSError):
        part.unlink(missing_ok=True)


def _remove_debris(path: Path) -> None:
    """Remove what writers of `path` that were killed an hour ago or more left beside it."""
    for part in path.parent.glob(f".{path.name}.*.tmp"):
        with contextlib.suppress(OSError):
            if time.time() - part.stat().st_mtime > DEBRIS_AFTER_SECONDS:
                part.unlink()
