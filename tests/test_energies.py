"""Energies between embeddings: worked by hand, against numpy, and their gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from crlscale.agents.energies import ENERGIES


def direct(phi, psi):
    difference = np.asarray(phi, np.float64)[:, None] - np.asarray(psi, np.float64)[None]
    return -np.sqrt((difference**2).sum(-1) + 1e-6)


def in_numpy(name, x, y):
    """The energy of two vectors in float64."""
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    half = len(x) // 2
    return {
        "l2": lambda: -np.linalg.norm(x - y),
        "squared_l2": lambda: -((x - y) @ (x - y)),
        "dot": lambda: x @ y,
        "cosine": lambda: x @ y / np.linalg.norm(x) / np.linalg.norm(y),
        "mrn": lambda: -max(0.0, (x - y)[:half].max()) - np.linalg.norm((x - y)[half:]),
    }[name]()


@pytest.mark.parametrize("name", ENERGIES)
def test_each_energy_is_that_of_its_definition(name):
    """trap 13: row i of phi against row j of psi, each pair on its own; paired = the diagonal."""
    rng = np.random.default_rng(0)
    phi, psi = (jnp.asarray(rng.standard_normal((5, 6)), jnp.float32) for _ in range(2))
    expected = [[in_numpy(name, x, y) for y in psi] for x in phi]
    np.testing.assert_allclose(ENERGIES[name].matrix(phi, psi), expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(ENERGIES[name].paired(phi, psi), np.diag(expected), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ENERGIES)
def test_an_energy_knows_nothing_of_the_rest_of_the_batch(name):
    """trap 13: a public version divides the cosine by the norm of the whole batch."""
    rng = np.random.default_rng(1)
    phi, psi = (jnp.asarray(rng.standard_normal((5, 6)), jnp.float32) for _ in range(2))
    loud = phi.at[3].mul(100.0)
    before, after = (np.asarray(ENERGIES[name].matrix(x, psi)) for x in (phi, loud))
    np.testing.assert_allclose(np.delete(before, 3, 0), np.delete(after, 3, 0), rtol=1e-4, atol=1e-5)


def test_by_hand():
    """x = (3, 1, 0, 4), y = (1, 2, 0, 1): difference (2, -1, 0, 3)."""
    x, y = jnp.array([[3.0, 1.0, 0.0, 4.0]]), jnp.array([[1.0, 2.0, 0.0, 1.0]])
    found = {name: float(energy.paired(x, y)[0]) for name, energy in ENERGIES.items()}
    cosine = 9 / np.sqrt(26) / np.sqrt(6)
    expected = {"l2": -np.sqrt(14), "squared_l2": -14, "dot": 9, "cosine": cosine, "mrn": -5}
    assert found == pytest.approx(expected, rel=1e-5)
    assert float(ENERGIES["mrn"].paired(y, x)[0]) == pytest.approx(-4), "there is not back"


def test_mrn_obeys_the_triangle_inequality():
    rng = np.random.default_rng(2)
    x, y, z = (jnp.asarray(rng.standard_normal((200, 8)), jnp.float32) for _ in range(3))
    distance = lambda a, b: -np.asarray(ENERGIES["mrn"].paired(a, b))  # noqa: E731
    assert (distance(x, z) <= distance(x, y) + distance(y, z) + 1e-4).all()
    assert (distance(x, x) <= 1.1e-3).all()


def test_energies_by_hand():
    """trap 13: minus the Euclidean distance, row i of phi against row j of psi."""
    phi, psi = jnp.array([[0.0, 0.0], [3.0, 0.0]]), jnp.array([[3.0, 4.0], [0.0, 0.0]])
    np.testing.assert_allclose(ENERGIES["l2"].matrix(phi, psi), [[-5, -0.001], [-4, -3]], atol=1e-5)
    np.testing.assert_allclose(ENERGIES["l2"].paired(phi, psi), [-5, -3], atol=1e-6)


@pytest.mark.parametrize("offset", [0.0, 30.0, 200.0])
def test_gram_identity_equals_direct_distances(offset):
    """Also far from the origin, where embeddings of deep networks lie and a plain identity fails:
    at 200 it is wrong by 0.3 for pairs 0.01 apart."""
    rng = np.random.default_rng(0)
    far = np.full(64, offset / 8)
    psi = jnp.asarray(far + rng.standard_normal((32, 64)), jnp.float32)
    phi = psi.at[::2].add(1e-3)
    matrix = ENERGIES["l2"].matrix(phi, psi)
    np.testing.assert_allclose(matrix, direct(phi, psi), atol=6e-3)
    np.testing.assert_allclose(
        matrix[~np.eye(32, dtype=bool)], direct(phi, psi)[~np.eye(32, dtype=bool)], rtol=1e-5
    )
    np.testing.assert_allclose(ENERGIES["l2"].paired(phi, psi), np.diag(direct(phi, psi)), atol=1e-5)


def test_gradient_of_energies_is_that_of_distances():
    """The shift that keeps the identity exact drops out of the gradient."""
    rng = np.random.default_rng(1)
    phi, psi, weight = (
        jnp.asarray(rng.standard_normal(n), jnp.float32) for n in ((4, 3), (4, 3), (4, 4))
    )

    def far_apart(phi, psi):
        difference = phi[:, None, :] - psi[None, :, :]
        return -jnp.sqrt(jnp.sum(difference**2, -1) + 1e-6)

    ours = jax.grad(lambda *x: jnp.sum(weight * ENERGIES["l2"].matrix(*x)), (0, 1))(phi, psi)
    theirs = jax.grad(lambda *x: jnp.sum(weight * far_apart(*x)), (0, 1))(phi, psi)
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("which", ["matrix", "paired"])
@pytest.mark.parametrize("name", ENERGIES)
def test_gradient_is_finite_where_embeddings_coincide(name, which):
    """trap 7."""
    energy = getattr(ENERGIES[name], which)
    same = jnp.asarray(np.random.default_rng(0).standard_normal((4, 3)), jnp.float32)
    for phi in (same, jnp.zeros((4, 3))):
        gradients = jax.grad(lambda *x: jnp.sum(energy(*x)), (0, 1))(phi, phi)
        assert all(np.isfinite(g).all() for g in gradients)
