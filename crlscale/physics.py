"""Which runs were made with the same physics: their fingerprints compared. Plain data, no jax."""

import json

import numpy as np

AGREEMENT = 1e-4  # largest difference of two trajectories of the same physics, absolute


def same_physics(one: dict, other: dict) -> bool:
    """Whether two fingerprints (crlscale.envs.fingerprint) are of the same physics."""
    named = ("backend", "time_step", "sub_steps")
    if any(one[key] != other[key] for key in named):
        return False
    first, second = np.array(one["trajectory"]), np.array(other["trajectory"])
    return first.shape == second.shape and bool(np.all(np.abs(first - second) <= AGREEMENT))


def groups(fingerprints: dict[str, str | None]) -> dict[str, int]:
    """Run id -> number of its physics, 0 for the one that most runs share, from the fingerprints as
    JSON texts. Runs without one (older files, nothing measured yet) count as of the first kind."""
    kinds: list[tuple[dict, list[str]]] = []
    for run_id, text in fingerprints.items():
        if text is None:
            continue
        found = json.loads(text)
        for kind, members in kinds:
            if same_physics(kind, found):
                members.append(run_id)
                break
        else:
            kinds.append((found, [run_id]))
    kinds.sort(key=lambda kind: -len(kind[1]))
    numbers = {run_id: number for number, (_, members) in enumerate(kinds) for run_id in members}
    return {run_id: numbers.get(run_id, 0) for run_id in fingerprints}
