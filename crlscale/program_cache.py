"""Compiled programs kept on this machine, so that a run of a known shape starts without tracing.

XLA's own cache (crlscale.device) knows a program by what was traced, which takes longer than all else at
the start. Here the programs of a run are known together by all that they are made from: static settings,
the source of this package, versions, processor, flags. Each is also known by itself, by what was traced,
so that what two shapes share is compiled once. Processes may share the folder: files are written whole or
not at all and hold a digest of themselves. Like XLA's cache it is trusted: it holds machine code.
"""

import contextlib
import hashlib
import json
import os
import pickle
import zlib
from collections.abc import Callable
from pathlib import Path

import jax
from jax.experimental.compilation_cache import compilation_cache
from jax.experimental.serialize_executable import deserialize_and_load, serialize
from jax.stages import Compiled, Lowered

from crlscale import device
from crlscale.files import Unwritable, replace_file

LIMIT = 1 << 30  # bytes of all files together; the longest unused go first
DIGEST = hashlib.sha256().digest_size

# a backend that cannot write its programs, or not read them again
REFUSED = (NotImplementedError, ValueError, jax.errors.JaxRuntimeError)

Traced = dict[str, tuple[Lowered, dict | None]]  # programs to compile, with options of the compiler


def kept_or_made(made_from, trace: Callable[[], Traced]) -> dict[str, Compiled]:
    """The programs of `trace()`, compiled, or what an earlier process made of the same. The repr of
    `made_from` says all about them that is not the same for all runs of this package on this machine.
    Programs of several devices are not kept, and none are where jax's compilation cache is off."""
    if len(jax.devices()) > 1 or not jax.config.jax_enable_compilation_cache:
        return {name: program.compile(options) for name, (program, options) in trace().items()}
    folder, machine = device.cache_folder() / "programs", _machine()
    index = folder / _digest(made_from, _source(), machine)
    programs = _found(index)
    if programs is None:
        programs = _made(index, trace(), machine)
        _make_room(folder)
    return programs


def _digest(*parts) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def _machine() -> tuple:
    """All else that a program depends on."""
    backend = jax.devices()[0].client.platform_version
    flags = os.environ.get("XLA_FLAGS"), sorted(jax.config.values.items())
    cores = len(device.usable_cores())
    return device.description(), device.cpu_flags(), cores, backend, device.versions(), flags


def _source() -> str:
    """A digest of the source of this package (5 ms)."""
    digest, package = hashlib.sha256(), Path(__file__).parent
    for path in sorted(package.rglob("*.py")):
        digest.update(f"{path.relative_to(package)}\n".encode() + path.read_bytes())
    return digest.hexdigest()


def _found(index: Path) -> dict[str, Compiled] | None:
    """The programs that the file `index` names; None if one of all these files is missing or damaged."""
    try:
        named = json.loads(index.read_text())
        index.touch()
    except (OSError, ValueError):
        return None
    programs = {}
    for name, digest in named.items():
        program = _load(index.with_name(digest))
        if program is None:
            return None
        programs[name] = program
    return programs


def _made(index: Path, traced: Traced, machine: tuple) -> dict[str, Compiled]:
    programs, named = {}, {}
    with _without_other_cache():
        for name, (program, options) in traced.items():
            # an argument that is not used is not in the text
            whole = program.as_text(), str(program.args_info), str(program.out_info)
            named[name] = _digest(whole, options, machine)
            path = index.with_name(named[name])
            programs[name] = _load(path) or _compiled(path, program, options)
    _write(index, json.dumps(named).encode())
    return programs


@contextlib.contextmanager
def _without_other_cache():
    """What XLA's cache returns cannot be written again: functions would be missing from it."""
    jax.config.update("jax_enable_compilation_cache", False)
    compilation_cache.reset_cache()  # it asks only once whether it is on
    try:
        yield
    finally:
        jax.config.update("jax_enable_compilation_cache", True)
        compilation_cache.reset_cache()


def _load(path: Path) -> Compiled | None:
    """The program in `path`; None if there is none, the file is damaged or the backend refuses it."""
    try:
        content = path.read_bytes()
        path.touch()
    except OSError:
        return None
    digest, packed = content[:DIGEST], content[DIGEST:]
    if hashlib.sha256(packed).digest() != digest:
        return None
    try:
        return deserialize_and_load(*pickle.loads(zlib.decompress(packed)))
    except REFUSED:
        return None


def _compiled(path: Path, program: Lowered, options: dict | None) -> Compiled:
    compiled = program.compile(options)
    with contextlib.suppress(*REFUSED):
        packed = zlib.compress(pickle.dumps(serialize(compiled)), 1)
        _write(path, hashlib.sha256(packed).digest() + packed)
    return compiled


def _write(path: Path, content: bytes) -> None:
    """Keep `content` for the next process; where the disk refuses, that one makes it again."""
    with contextlib.suppress(Unwritable):
        replace_file(path, content)


def _make_room(folder: Path) -> None:
    """Remove what was used longest ago beyond LIMIT."""
    files, size = [], 0
    for path in folder.glob("*"):
        with contextlib.suppress(OSError):  # another process removed it
            files.append((path.stat().st_mtime, path.stat().st_size, path))
    for _, file_size, path in sorted(files, reverse=True):
        size += file_size
        if size > LIMIT:
            path.unlink(missing_ok=True)
