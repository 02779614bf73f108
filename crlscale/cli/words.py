"""Numbers as people read them, in at most seven characters where they can."""


def several(number: int, noun: str) -> str:
    """1 cell, 2 cells, 1,000 cells."""
    return f"{number:,} {noun}{'s' * (number != 1)}"


def why(status: dict) -> str:
    """What a status file says of how a run went: its cause, and since when it is unstable; empty if
    neither."""
    return "; ".join(filter(None, (status.get("cause"), status.get("instability"))))


def count(number: float) -> str:
    """1234 -> 1,234; 1234567 -> 1.23M; up to Z for 1e21."""
    for size, letter in ((1e21, "Z"), (1e18, "E"), (1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M")):
        if abs(number) >= size:
            return f"{number / size:.3g}{letter}"
    return f"{number:,.0f}"


def span(seconds: float | None) -> str:
    """A duration: 8 s, 3 min, 2.5 h, 4 d."""
    if seconds is None:
        return "-"
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 172_800 else f"{seconds / 86_400:.0f} d"


def size(number: float) -> str:
    """Bytes: 40 kB, 650 MB, 1.2 GB."""
    if number < 1e6:
        return f"{number / 1e3:.0f} kB"
    return f"{number / 1e9:.1f} GB" if number >= 1e9 else f"{number / 1e6:.0f} MB"
