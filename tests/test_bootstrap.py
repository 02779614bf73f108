"""The one command for a bare machine, and that what it installs is what was locked."""

import ast
import itertools
import re
import runpy
import shutil
import subprocess
import sys
import textwrap
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCE = (ROOT / "bootstrap.py").read_text()
EXPORT = ["uv", "export", "--frozen", "--offline", "--no-emit-project", "--no-annotate", "--no-header"]


def read_requirements(text):
    """(name, version) -> hashes of a requirements file."""
    lines = re.sub(r"\\\n", " ", text).splitlines()
    found = {}
    for line in lines:
        if line.strip() and not line.startswith("#"):
            name, version = re.match(r"([a-z0-9-]+)==([^ ;]+)", line).groups()
            found[name, version] = set(re.findall(r"--hash=(sha256:[0-9a-f]{64})", line))
    return found


@pytest.fixture(scope="module")
def uv_lock():
    return tomllib.loads((ROOT / "uv.lock").read_text())


@pytest.fixture(scope="module")
def requirements():
    return read_requirements((ROOT / "requirements.lock").read_text())


# --- the lock ------------------------------------------------------------------------------
def test_requirements_are_those_of_the_lock(uv_lock, requirements):
    locked = {}
    for package in uv_lock["package"]:
        if package["name"] != "crlscale":
            files = [*package.get("wheels", []), *filter(None, [package.get("sdist")])]
            locked[package["name"], package["version"]] = {file["hash"] for file in files}
    assert len(requirements) > 50
    assert requirements.items() <= locked.items()  # trackio's extra is locked and not installed


def test_requirements_are_what_uv_exports(requirements):
    if shutil.which("uv") is None:
        pytest.skip("needs uv")
    exported = subprocess.run(EXPORT, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert read_requirements(exported) == requirements
    assert exported == (ROOT / "requirements.lock").read_text()


def test_lock_is_of_this_project(uv_lock):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    (package,) = [p for p in uv_lock["package"] if p["name"] == "crlscale"]
    metadata = package["metadata"]
    extras = project["project"]["optional-dependencies"]
    wanted = [*project["project"]["dependencies"], *itertools.chain(*extras.values())]
    assert written(metadata["requires-dist"]) == sorted(wanted)
    assert written(metadata["requires-dev"]["dev"]) == sorted(project["dependency-groups"]["dev"])


def written(requires):
    """uv.lock's requirements, as pyproject.toml writes them."""
    return sorted(f"{each['name']}{_extras(each)}{each.get('specifier', '')}" for each in requires)


def _extras(each):
    return f"[{','.join(each['extras'])}]" if "extras" in each else ""


def test_build_needs_nothing_more(requirements):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    for requirement in project["build-system"]["requires"]:
        assert tuple(requirement.split("==")) in requirements
    assert "editables" in {name for name, _ in requirements}


# --- the refusals ----------------------------------------------------------------------------
def test_old_pythons_can_parse_it():
    tree = ast.parse(SOURCE, feature_version=(3, 4))
    new = (ast.JoinedStr, ast.AnnAssign, ast.Starred, ast.Nonlocal, ast.AsyncFunctionDef, ast.NamedExpr)
    assert not [node for node in ast.walk(tree) if isinstance(node, new)]
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            assert not node.args.kwonlyargs
            assert not [a for a in node.args.args if a.annotation]
        if isinstance(node, ast.Raise):
            assert node.cause is None
    assert SOURCE.isascii()


@pytest.mark.parametrize("version", ["2.7", "3.6", "3.7", "3.8", "3.9", "3.10", "3.14"])
def test_another_python_is_refused_in_one_sentence(version):
    python = shutil.which(f"python{version}")
    if python is None or subprocess.run([python, "--version"], capture_output=True).returncode:
        pytest.skip(f"needs python{version}")
    done = subprocess.run([python, ROOT / "bootstrap.py", "quick"], capture_output=True, text=True)
    sentence = f"error: crlscale needs Python 3.11 to 3.13; this is Python {version}\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", sentence)


@pytest.mark.parametrize("version", [(2, 7, 18), (3, 10, 14), (3, 14, 0), (4, 0, 0)])
def test_version_is_looked_at_first(version, monkeypatch):
    bootstrap = runpy.run_path(str(ROOT / "bootstrap.py"))
    monkeypatch.setattr(sys, "version_info", version)
    with pytest.raises(bootstrap["Refusal"], match=f"this is Python {version[0]}.{version[1]}$"):
        bootstrap["main"](["quick"])


@pytest.mark.parametrize("arguments", [[], ["quickly"], ["quick", "more"]])
def test_other_words_get_the_usage(arguments):
    done = subprocess.run(
        [sys.executable, ROOT / "bootstrap.py", *arguments], capture_output=True, text=True
    )
    assert done.returncode == 2
    assert done.stderr.startswith("usage: python3 bootstrap.py quick")


# --- the installation --------------------------------------------------------------------------
@pytest.fixture
def checkout(tmp_path):
    """A checkout in small: the real bootstrap.py, a project without needs that builds itself."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    shutil.copy(ROOT / "bootstrap.py", folder)
    (folder / "requirements.lock").write_text("")
    (folder / "tiny.py").write_text("")
    (folder / "pyproject.toml").write_text(
        "[build-system]\nrequires = []\nbuild-backend = 'backend'\nbackend-path = ['.']\n"
    )
    (folder / "backend.py").write_text(
        textwrap.dedent("""
            import os, zipfile

            def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
                name = "tiny-1-py3-none-any.whl"
                with zipfile.ZipFile(os.path.join(wheel_directory, name), "w") as wheel:
                    wheel.writestr("tiny.pth", os.getcwd())
                    info = "tiny-1.dist-info/"
                    wheel.writestr(info + "METADATA", "Metadata-Version: 2.1\\nName: tiny\\nVersion: 1\\n")
                    tag = "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"
                    wheel.writestr(info + "WHEEL", tag)
                    wheel.writestr(info + "RECORD", "")
                return name
        """)
    )
    return folder


def install(checkout, python=sys.executable, **environment):
    command = [python, checkout / "bootstrap.py", "install"]
    bare = {"PATH": "/usr/bin:/bin", "HOME": str(checkout), "PIP_CONFIG_FILE": "/dev/null"}
    done = subprocess.run(command, env={**bare, **environment}, capture_output=True, text=True)
    return done.returncode, done.stderr


def import_tiny(checkout):
    python = checkout / ".venv" / "bin" / "python"
    return subprocess.run([python, "-c", "import tiny"], cwd="/", capture_output=True).returncode == 0


@pytest.mark.slow
def test_installation_is_made_once_and_mended(checkout):
    assert install(checkout)[0] == 0
    assert import_tiny(checkout)
    stamp = checkout / ".venv" / "crlscale-installed"
    made = stamp.stat().st_mtime_ns

    code, said = install(checkout)
    assert (code, "installing" in said) == (0, False)
    assert stamp.stat().st_mtime_ns == made

    stamp.unlink()  # as after Ctrl-C: goes on in the same environment
    code, said = install(checkout)
    assert (code, "making" in said, "installing" in said) == (0, False, True)

    (checkout / "requirements.lock").write_text("# another lock\n")
    code, said = install(checkout)
    assert (code, "making" in said, "installing" in said) == (0, False, True)

    (checkout / ".venv" / "bin" / "python").unlink()
    code, said = install(checkout)
    assert (code, "making" in said, "installing" in said) == (0, True, True)
    assert import_tiny(checkout)

    moved = checkout.rename(checkout.with_name("elsewhere"))
    code, said = install(moved)
    assert (code, "installing" in said) == (0, True)
    assert import_tiny(moved)


@pytest.mark.slow
def test_no_network_is_one_sentence(checkout):
    lock = f"no-such-package==1.0 --hash=sha256:{'0' * 64}\n"
    (checkout / "requirements.lock").write_text(lock)
    nowhere = {"PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_RETRIES": "1"}
    code, said = install(checkout, **nowhere)
    assert code == 2
    assert said.splitlines()[-1].startswith("error: cannot reach the package index")
    assert not (checkout / ".venv" / "crlscale-installed").exists()


@pytest.mark.slow
def test_changed_package_is_not_installed(checkout, tmp_path):
    index = tmp_path / "wheels"
    index.mkdir()
    sys.path.insert(0, str(checkout))
    try:
        runpy.run_path(str(checkout / "backend.py"))["build_editable"](str(index))
    finally:
        sys.path.remove(str(checkout))
    (checkout / "requirements.lock").write_text(f"tiny==1 --hash=sha256:{'0' * 64}\n")
    code, said = install(checkout, PIP_NO_INDEX="1", PIP_FIND_LINKS=str(index))
    assert code == 2
    assert "differs from the one that was tested" in said.splitlines()[-1]
    assert not import_tiny(checkout)


def test_folder_that_is_no_environment_is_left_alone(checkout):
    (checkout / ".venv").mkdir()
    (checkout / ".venv" / "thesis.tex").write_text("mine")
    code, said = install(checkout)
    assert code == 2
    assert "is no virtual environment of ours" in said
    assert (checkout / ".venv" / "thesis.tex").read_text() == "mine"


def test_full_disk_is_one_sentence(checkout, tmp_path):
    small = tmp_path / "small"
    small.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", small]
    if subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("needs the right to mount a small tmpfs")
    try:
        shutil.copytree(checkout, small, dirs_exist_ok=True)
        code, said = install(small)
    finally:
        subprocess.run(["umount", small], check=True)
    assert code == 2
    assert re.fullmatch(
        r"error: 0\.0 GB are free in .*; make room and type the same command again\n", said
    )
