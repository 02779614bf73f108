"""Hours on other devices: near the published ones, and more for what is more."""

import itertools

import pytest
from refusals import refusal

from crlscale.devices import DEVICES, device_named, seconds_on
from crlscale.presets import preset_settings
from crlscale.settings import make_config

# arXiv 2503.14858, wall-clock hours: task, nominal env steps [M], hours at depth 4, 16, 64
PUBLISHED = [
    ("humanoid", 100, (1.48, 3.40, 10.99)),
    ("ant_big_maze", 100, (2.12, 4.04, 11.66)),
    ("ant_u4_maze", 100, (1.98, 3.81, 11.43)),
    ("ant_u5_maze", 400, (9.46, 16.09, 46.40)),
    ("ant_hardest_maze", 200, (5.11, 8.94, 23.96)),
    ("arm_push_easy", 100, (9.97, 12.20, 19.52)),
    ("arm_push_hard", 100, (9.74, 11.98, 18.53)),
    ("arm_binpick_hard", 100, (18.41, 19.47, 29.64)),
    ("humanoid_u_maze", 400, (8.72, 16.36, 46.74)),
    ("humanoid_big_maze", 400, (12.45, 20.34, 50.33)),
]


def paper(**settings):
    return make_config({**preset_settings("paper"), "protocol": "legacy", **settings})


def hours(device, **settings) -> float:
    return seconds_on(DEVICES[device], paper(**settings)) / 3600


@pytest.mark.parametrize("task, millions, wanted", PUBLISHED)
def test_published_hours(task, millions, wanted):
    steps = millions * 1_000_000
    found = [hours("a100", env=task, env_steps=steps, depth=depth) for depth in (4, 16, 64)]
    assert found == pytest.approx(wanted, rel=0.1)


@pytest.mark.parametrize(
    "width, wanted", [(256, 4.52), (512, 5.32), (1024, 5.96), (2048, 8.39), (4096, 15.90)]
)
def test_published_hours_of_widths(width, wanted):
    """Means over three tasks at depth 4."""
    tasks = ("humanoid", "ant_big_maze", "arm_push_easy")
    found = [hours("a100", env=task, width=width, depth=4) for task in tasks]
    assert sum(found) / 3 == pytest.approx(wanted, rel=0.2)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(
    "key, levels",
    [
        ("depth", (4, 64, 1024)),
        ("width", (64, 512, 4096)),
        ("batch_size", (128, 512, 2048)),
        ("env_steps", (10**7, 10**8, 10**9)),
    ],
)
def test_more_takes_longer_on_every_device(device, key, levels):
    found = [hours(device, **{"env": "humanoid", key: level}) for level in levels]
    assert all(0 < less < more for less, more in itertools.pairwise(found))


def test_a_faster_device_is_faster_where_matmuls_count():
    wide = {"env": "humanoid", "width": 4096, "depth": 16}
    assert hours("h100", **wide) < hours("a100", **wide) < hours("rtx-4090", **wide)
    assert hours("rtx-4090", **wide) < hours("cpu", **wide)
    assert hours("a100", precision="mixed", **wide) < hours("a100", **wide)


def test_unknown_device_lists_those_of_the_table():
    error = refusal(device_named, "gpu")
    assert "a100, h100, rtx-4090, cpu" in error.message
