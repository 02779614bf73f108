"""Any typed result as a record for a machine: nested dicts and lists of plain values."""

from dataclasses import fields, is_dataclass

import numpy as np

from crlscale.report.table import cell_record, estimate_record
from crlscale.score import CellScore
from crlscale.stats import Estimate

SAID = ("sentence", "verdict", "words", "misses", "edges", "decided")


def record(value):
    """`value` with every dataclass as a dict: its fields, and what it says of itself (SAID). A cell is
    its line of the study's table, an estimate its value and interval; keys are text."""
    if isinstance(value, CellScore):
        return cell_record(value)
    if isinstance(value, Estimate):
        return estimate_record(value)
    if is_dataclass(value):
        found = {field.name: record(getattr(value, field.name)) for field in fields(value)}
        kind = type(value)
        said = (name for name in SAID if isinstance(getattr(kind, name, None), property))
        return found | {name: record(getattr(value, name)) for name in said}
    if isinstance(value, dict):
        return {str(key): record(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [record(item) for item in value]
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    return value
