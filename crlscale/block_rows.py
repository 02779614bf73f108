"""The rows of blocks.parquet of the runs of one program: kept as tables, since there are many."""

import sys
from pathlib import Path

import numpy as np

from crlscale.files import Damaged
from crlscale.store import blocks_table, read_run_blocks, write_blocks


class BlockRows:
    """For each run of `folders` the tables of its evaluations so far."""

    def __init__(self, folders: list[Path]):
        self.folders = folders
        self._tables: list[list] = [[] for _ in folders]

    def resume(self, index: int, evaluation: int) -> None:
        """Take up the rows on disk up to `evaluation`. They are a diagnosis that nothing builds on, so a
        damaged file is told and does not end the run."""
        try:
            self._tables[index] = read_run_blocks(self.folders[index], evaluation)
        except Damaged as damaged:
            print(f"{damaged.message}; rows by block begin anew", file=sys.stderr)

    def add(self, index: int, row: dict, norms: dict) -> None:
        """The rows of one evaluation: `row` is its line of metrics.parquet, `norms` maps a network to
        blocks.Norms [K]."""
        common = {key: row[key] for key in ("run_id", "evaluation", "env_steps", "gradient_steps")}
        rows = []
        for network, found in norms.items():
            values = {name: np.asarray(value).tolist() for name, value in found._asdict().items()}
            for block in range(len(found.stream_norm)):
                here = {name: value[block] for name, value in values.items()}
                rows.append({**common, "network": network, "block": block, **here})
        self._tables[index].append(blocks_table(rows))

    def write(self, index: int, meta: dict) -> None:
        write_blocks(self.folders[index], self._tables[index], meta)
