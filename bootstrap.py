"""Set crlscale up in ./.venv and run it: `python3 bootstrap.py quick` or `python3 bootstrap.py test`.

Standard library only. It has to parse on old Pythons, so that it can refuse them in one sentence.
"""

# what newer Pythons write more nicely, older ones cannot parse
# ruff: noqa: UP010, UP031, RUF005
from __future__ import print_function

import hashlib
import os
import re
import signal
import subprocess
import sys

ROOT = os.path.dirname(os.path.abspath(__file__))
VENV = os.path.join(ROOT, ".venv")
PYTHON = os.path.join(VENV, "bin", "python")
LOCK = os.path.join(ROOT, "requirements.lock")
STAMP = os.path.join(VENV, "crlscale-installed")
SPACE_BYTES = 3 * 1000**3  # 1.8 GB installed, and the wheels beside it for a while

QUICK = ["sweep", "depth", "--preset", "quick", "--min", "2", "--max", "8", "--seeds", "5"]
TESTS = ["-m", "slow or not slow", "-n", "2", "--dist", "worksteal"]

USAGE = """usage: python3 bootstrap.py quick       set up .venv, run a small depth study, draw it
       python3 bootstrap.py test [...]  set up .venv, run all tests ([...] goes to pytest)
       python3 bootstrap.py install     set up .venv only"""

# what pip says -> what to do about it; the first that fits
PIP_TROUBLE = [
    (
        r"No space left on device|Errno 28|Disk quota exceeded",
        "no space left: the packages need about 3 GB here and some in the folder for temporary"
        " files (TMPDIR); make room and type the same command again",
    ),
    (
        r"DO NOT MATCH THE HASHES|Hashes are required",
        "a downloaded package differs from the one that was tested (requirements.lock) and was"
        " not installed; try `pip cache purge`, or another package index",
    ),
    (
        r"NewConnectionError|NameResolutionError|ConnectTimeout|ReadTimeout|ProxyError|SSLError"
        r"|Max retries exceeded|Connection (refused|reset|aborted)|Network is unreachable",
        "cannot reach the package index: this needs pypi.org, or a mirror named by"
        " PIP_INDEX_URL; connect and type the same command again, which goes on from here",
    ),
    (
        r"No matching distribution found",
        "the package index has no build of a package for this machine; what is tested is Linux"
        " (x86-64, aarch64) and macOS (arm64) with CPython 3.11 to 3.13",
    ),
]


class Refusal(Exception):
    """What stops us, in one sentence for a person."""


def main(arguments):
    if not (3, 11) <= sys.version_info[:2] <= (3, 13):
        raise Refusal(
            "crlscale needs Python 3.11 to 3.13; this is Python %d.%d" % tuple(sys.version_info[:2])
        )
    if sys.platform not in ("linux", "darwin"):
        raise Refusal("crlscale runs on Linux and macOS; on Windows, in WSL")
    word, more = (arguments + [""])[0], arguments[1:]
    if word not in ("quick", "test", "install") or (more and word != "test"):
        print(USAGE, file=sys.stdout if word in ("-h", "--help") else sys.stderr)
        return 0 if word in ("-h", "--help") else 2
    install()
    if word == "test":
        return run([PYTHON, "-m", "pytest"] + TESTS + more)
    if word == "quick":
        return quick()
    say("done; `source .venv/bin/activate` puts `crlscale` on your path")
    return 0


def quick():
    """The main job: a small depth study, which draws its figure; the exit code of the sweep."""
    swept = run([PYTHON, "-m", "crlscale"] + QUICK)
    if swept in (0, 1):  # 1: some runs failed, the others can be looked at
        say("next:")
        say("  source .venv/bin/activate")
        say("  crlscale status")
        say("  crlscale plot learning-curves")
        say("  crlscale sweep depth --min 2 --max 64")
    return swept


# --- the installation ----------------------------------------------------------------------
def install():
    """Make .venv hold exactly what requirements.lock names, and this checkout. What is there
    already is kept, so a second call after Ctrl-C goes on where the first one stopped."""
    wanted = stamp()
    if is_venv() and read(STAMP) == wanted:
        return
    if not is_venv():
        check_space()
        make_venv()
    elif os.path.exists(STAMP):
        os.remove(STAMP)
    say("installing the packages of requirements.lock into .venv (a few minutes the first time)")
    pip(["install", "-q", "--require-hashes", "--only-binary", ":all:", "-r", LOCK])
    pip(["install", "--no-deps", "--no-build-isolation", "--no-index", "-q", "-e", ROOT])
    with open(STAMP + ".part", "w") as file:
        file.write(wanted)
    os.replace(STAMP + ".part", STAMP)


def stamp():
    """What .venv was made from: the lock, the package's own metadata and where the checkout lies."""
    digest = hashlib.sha256(ROOT.encode())
    for name in ("requirements.lock", "pyproject.toml"):
        with open(os.path.join(ROOT, name), "rb") as file:
            digest.update(file.read())
    return digest.hexdigest()


def is_venv():
    """Whether .venv holds a Python that runs, is of a tested version and lies in this folder."""
    question = "import sys; print(sys.prefix, (3, 11) <= sys.version_info[:2] <= (3, 13))"
    try:
        answer = subprocess.check_output([PYTHON, "-I", "-c", question], stderr=subprocess.DEVNULL)
    except (OSError, subprocess.CalledProcessError):
        return False
    prefix, tested = answer.decode().strip().rsplit(" ", 1)
    return os.path.realpath(prefix) == os.path.realpath(VENV) and tested == "True"


def make_venv():
    if os.path.islink(VENV) or (os.path.exists(VENV) and not looks_like_venv()):
        raise Refusal("%s exists and is no virtual environment of ours; move it away" % VENV)
    say("making .venv with Python %d.%d" % tuple(sys.version_info[:2]))
    if subprocess.call([sys.executable, "-m", "venv", "--clear", "--without-pip", VENV]) != 0:
        raise Refusal(
            "this Python cannot make a virtual environment; on Debian and Ubuntu:"
            " sudo apt install python3-venv"
        )


def looks_like_venv():
    return not os.listdir(VENV) or os.path.exists(os.path.join(VENV, "pyvenv.cfg"))


def find_pip():
    """The command of a pip that installs into .venv: its own, or that of this Python."""
    own = [PYTHON, "-m", "pip"]
    if works(own + ["--version"]):
        return own
    if works([PYTHON, "-m", "ensurepip"]) and works(own + ["--version"]):
        return own
    if works([sys.executable, "-m", "pip", "--python", PYTHON, "--version"]):
        return [sys.executable, "-m", "pip", "--python", PYTHON]
    raise Refusal("this Python has no pip; on Debian and Ubuntu: sudo apt install python3-pip")


def pip(arguments):
    """Run pip for .venv. Its trouble becomes one sentence."""
    environment = dict(os.environ, PIP_DISABLE_PIP_VERSION_CHECK="1", PIP_NO_INPUT="1")
    command = find_pip() + arguments
    process = subprocess.Popen(command, stderr=subprocess.PIPE, env=environment, cwd=ROOT)
    said = []
    for line in process.stderr:
        said.append(line.decode(errors="replace"))
        sys.stderr.write(said[-1])
    if process.wait() == 0:
        return
    for pattern, sentence in PIP_TROUBLE:
        if re.search(pattern, "".join(said)):
            raise Refusal(sentence)
    raise Refusal("pip could not install the packages; what it said stands above")


def works(command):
    return subprocess.call(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) == 0


def check_space():
    files = os.statvfs(ROOT)
    free = files.f_bavail * files.f_frsize
    if free < SPACE_BYTES:
        raise Refusal(
            "%.1f GB are free in %s, the packages need %.0f GB; make room and type the same"
            " command again" % (free / 1e9, ROOT, SPACE_BYTES / 1e9)
        )


# --- the rest ------------------------------------------------------------------------------
def run(command):
    """The exit code of `command`. Ctrl-C reaches it by itself and SIGTERM is passed on; we wait
    until it has stopped in its own way."""
    process = subprocess.Popen(command, cwd=ROOT)
    signal.signal(signal.SIGTERM, lambda *_: process.terminate())
    while True:
        try:
            code = process.wait()
        except KeyboardInterrupt:
            continue
        return code if code >= 0 else 128 - code


def read(path):
    try:
        with open(path) as file:
            return file.read()
    except OSError:
        return None


def say(message):
    print(message, file=sys.stderr)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except Refusal as refusal:
        say("error: %s" % refusal)
        sys.exit(2)
    except KeyboardInterrupt:
        say("\nstopped; the same command goes on from here")
        sys.exit(130)
