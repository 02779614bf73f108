"""`crlscale bench --against jaxgcrl`: what is refused, why its environment cannot be made, and the real thing."""

import pytest
from reading_cli import run, run_json
from test_bench import TINY, check_file, here  # noqa: F401

from crlscale.bench import against, ours
from crlscale.bench.jaxgcrl import environment
from crlscale.errors import CrlscaleError


@pytest.mark.parametrize(
    ("words", "error", "remedy"),
    [
        (("--depths", "4,64"), "jaxgcrl is measured to depth 16", "--depths 4,16"),
        (("--parts", "phase"), "unknown part 'phase' of jaxgcrl; legal: update, sampler", "--parts"),
    ],
)
def test_what_it_has_not_is_refused(capsys, words, error, remedy):
    code, out, err = run(capsys, "bench", "--against", "jaxgcrl", *words)
    assert (code, out) == (2, "")
    assert error in err and remedy in err.split("; try:")[1]


def test_deeper_ones_are_left_out_if_none_are_asked_for():
    assert against.depths_of("jaxgcrl") == (4, 16)
    assert against.depths_of("naive") == against.depths_of(None) == (4, 16, 64)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CRLSCALE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "peers" / "jaxgcrl"


def test_without_an_old_python_it_says_which(cache, monkeypatch):
    monkeypatch.setattr(environment, "PYTHONS", ((2, 6),))
    with pytest.raises(CrlscaleError, match=r"needs Python 3\.10 or 3\.11") as refused:
        environment.peer_python()
    assert "python3.11" in refused.value.remedy and not cache.exists()


def test_without_an_index_it_says_so_and_is_not_taken_for_made(cache, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(cache))
    with pytest.raises(CrlscaleError, match=r"cannot be made: .*jaxgcrl==0\.2\.8") as refused:
        environment.peer_python()
    assert "package index" in refused.value.remedy
    assert (cache / "bin" / "python").exists() and not (cache / "made_of.txt").exists()


@pytest.mark.slow
def test_updates_and_samples_against_the_package(capsys, here, monkeypatch):  # noqa: F811
    """Makes the environment (minutes, a package index), then measures tiny networks; a machine that
    cannot make one is told so by the command."""
    try:
        environment.peer_python()
    except CrlscaleError as lacking:
        pytest.skip(lacking.message)
    monkeypatch.setattr(against, "SAMPLED_ENVS", (3,))
    monkeypatch.setattr(ours, "STEPS", 16)
    data = run_json(capsys, "bench", "--against", "jaxgcrl", *TINY, "--out", str(here))
    assert "not like for like" in data["note"]
    rows = check_file(here / "against-jaxgcrl.parquet", "against-PEER", 3)
    assert [(row["part"], row["precision"]) for row in rows] == [
        ("update", "float32"),
        ("update", "mixed"),
        ("sampler", "float32"),
    ]
    for row in rows:
        assert row["peer"] == "jaxgcrl" and row["peer_temporary_megabytes"] is None
        assert min(row["ratio"], row["peer_seconds"], row["peer_compile_seconds"]) > 0
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    assert environment.peer_python().exists(), "made once"
