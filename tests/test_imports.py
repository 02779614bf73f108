"""Who may import whom: checked over the source of every module, without importing any."""

import ast
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "crlscale"
JAX = {"jax", "jaxlib", "flax", "optax", "orbax", "brax", "mujoco", "chex"}
CLOCKS = {"time", "datetime"}
EXECUTED_BY_READING = {"pickle", "cloudpickle", "dill", "marshal", "shelve", "joblib"}

# asked for plain facts by everyone; only what is named here leads from them to jax
DOORS = {
    "crlscale.device": {"crlscale.device.prepare", "crlscale.device.description"},
}
READERS = ("analysis", "figures", "report", "stats", "store", "study", "launch")
KERNEL = ("agents", "networks", "optimiser", "replay", "train", "evaluate", "envs")
TRAINERS = (*KERNEL, "run", "checkpoint")


@dataclass
class Source:
    """The imports of one module, and the calls it makes by a bare name."""

    at_import: set[str] = field(default_factory=set)
    in_functions: set[str] = field(default_factory=set)
    calls: set[str] = field(default_factory=set)

    @property
    def anywhere(self) -> set[str]:
        return self.at_import | self.in_functions


def read_source(module: str, text: str) -> Source:
    source = Source()

    def visit(node: ast.AST, inside: bool) -> None:
        found = source.in_functions if inside else source.at_import
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: relative import"
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            source.calls.add(node.func.id)
        inside = inside or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for child in ast.iter_child_nodes(node):
            visit(child, inside)

    visit(ast.parse(text), False)
    return source


def read_package(root: Path) -> dict[str, Source]:
    """Module name -> source, for all modules below `root`."""
    modules = {}
    for path in sorted(root.rglob("*.py")):
        parts = [root.name, *path.relative_to(root).with_suffix("").parts]
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        modules[name] = read_source(name, path.read_text())
    return modules


def reached(start: str, modules: dict[str, Source], lazily: bool) -> dict[str, list[str]]:
    """Everything that `start` imports -> the way there. `lazily` follows imports in functions too."""
    ways, todo = {start: [start]}, [start]
    while todo:
        module = todo.pop()
        if module not in modules:
            continue
        source = modules[module]
        everything = lazily and module not in DOORS
        for target in source.anywhere if everything else source.at_import:
            names = target.split(".")
            for length in range(1, len(names) + 1):  # importing a.b imports a
                name = ".".join(names[:length])
                if name not in ways:
                    ways[name] = [*ways[module], name]
                    todo.append(name)
    return ways


def violations(modules, unit: str, forbidden, lazily: bool = True) -> list[str]:
    """The ways from crlscale.`unit` to something forbidden (package names or crlscale modules)."""
    root = next(iter(modules)).split(".")[0]
    members = [m for m in modules if m == f"{root}.{unit}" or m.startswith(f"{root}.{unit}.")]
    ways = []
    for member in members:
        for name, way in reached(member, modules, lazily).items():
            if name in forbidden:
                ways.append(" -> ".join(way))
    return ways


MODULES = read_package(PACKAGE)


def test_checker_sees_what_is_forbidden():
    modules = {
        "house.reader": read_source("house.reader", "def f():\n    from house.middle import thing\n"),
        "house.middle": read_source("house.middle", "import house.trainer"),
        "house.trainer": read_source("house.trainer", "import time, jax.numpy as jnp"),
        "house": Source(),
    }
    assert violations(modules, "reader", JAX) == [
        "house.reader -> house.middle -> house.trainer -> jax"
    ]
    assert violations(modules, "reader", JAX, lazily=False) == []
    assert violations(modules, "trainer", CLOCKS) == ["house.trainer -> time"]
    assert violations(modules, "middle", {"house.trainer"}) == ["house.middle -> house.trainer"]


def test_source_of_the_house_is_seen():
    assert {"crlscale.store", "crlscale.study", "crlscale.config", "crlscale.cli.app"} <= MODULES.keys()
    assert "crlscale.gather.gather" in MODULES["crlscale.store"].at_import
    assert "pandas" in MODULES["crlscale.store"].in_functions


def test_doors_are_where_we_think():
    for door, openers in DOORS.items():
        text = (PACKAGE.parent / f"{door.replace('.', '/')}.py").read_text()
        assert (
            violations({door: MODULES[door]}, door.removeprefix("crlscale."), JAX, lazily=False) == []
        )
        assert all(f"\ndef {opener.removeprefix(door + '.')}(" in text for opener in openers)


@pytest.mark.parametrize("unit", READERS)
def test_readers_never_import_jax(unit):
    assert violations(MODULES, unit, JAX.union(*DOORS.values())) == []


def test_command_line_imports_nothing_heavy_before_a_command_runs():
    heavy = JAX | {"numpy", "scipy", "pandas", "pyarrow", "matplotlib"}
    assert violations(MODULES, "cli.app", heavy, lazily=False) == []
    direct = {
        (m, i) for m in MODULES if ".cli" in m for i in MODULES[m].anywhere if i.split(".")[0] in JAX
    }
    assert direct == set()


@pytest.mark.parametrize("unit", KERNEL)
def test_kernel_is_pure(unit):
    forbidden = {"crlscale.store", "crlscale.run", "crlscale.study", "pandas"} | CLOCKS
    assert violations(MODULES, unit, forbidden) == []
    prefix = f"crlscale.{unit}"
    printing = [
        m for m in MODULES if (m + ".").startswith(prefix + ".") and "print" in MODULES[m].calls
    ]
    assert printing == []


@pytest.mark.parametrize("unit", TRAINERS)
def test_training_never_imports_reading(unit):
    reading = {
        f"crlscale.{name}" for name in ("analysis", "figures", "report", "stats", "cli", "launch")
    }
    assert violations(MODULES, unit, reading) == []


@pytest.mark.parametrize("unit", (*TRAINERS, "loop", "programs", "launch"))
def test_training_never_imports_the_bench(unit):
    """The naive design that is measured against stays out of what runs."""
    assert "crlscale.bench.naive.update" in MODULES
    assert violations(MODULES, unit, {"crlscale.bench"}) == []


@pytest.mark.parametrize("unit", ("analysis", "figures", "report", "stats"))
def test_reading_never_imports_training(unit):
    training = {f"crlscale.{name}" for name in TRAINERS if name != "envs"}
    assert violations(MODULES, unit, training) == []


def test_nothing_executes_what_it_reads():
    """But the cache of compiled programs, which is machine code and no part of a results folder."""
    cache = "crlscale.program_cache"
    users = [m for m, source in MODULES.items() if any(t.startswith(cache) for t in source.anywhere)]
    assert users == ["crlscale.programs"]
    for name, source in MODULES.items():
        if name == cache:
            continue
        imported = {target.split(".")[0] for target in source.anywhere}
        assert not imported & EXECUTED_BY_READING, name
        assert not source.calls & {"eval", "exec", "__import__"}, name


def test_no_drawer_for_odds_and_ends():
    assert [m for m in MODULES if m.rsplit(".")[-1] in ("utils", "util", "common", "helpers")] == []


def test_help_loads_nothing_heavy():
    look = (
        "import sys\nfrom crlscale.cli.app import main\n"
        "try:\n    main(['--help'])\n"
        "except SystemExit as end:\n    assert not end.code, end.code\n"
        "heavy = {'jax', 'pandas', 'matplotlib', 'numpy', 'pyarrow', 'scipy', 'brax', 'flax'}\n"
        "print(sorted(heavy & sys.modules.keys()), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    assert "sweep" in done.stdout
    assert done.stderr.strip() == "[]"
