"""Error rates of the analyses on simulated studies with known answers; writes tables of docs/method.md.

`nice python docs/calibrate.py PART... [--studies 2000] [--out FOLDER]` simulates the named parts (all if
none is named) and keeps each finished cell in FOLDER/PART.json, so that it can be stopped and started
again; `--write` puts every table between its marks in docs/method.md, "-" where a cell is not there yet.
The generator of a cell is seeded by its name: the same cell gives the same shares anywhere."""

import argparse
import json
import sys
import time
import zlib
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import calibrate_grids
import calibrate_parts
import numpy as np

FOLDER = Path(__file__).parent
PARTS = calibrate_parts.PARTS | calibrate_grids.PARTS


def simulate(part: str, cells: dict, studies: int, out: Path) -> dict:
    """Cell name -> its measured shares, kept in `out` after each cell."""
    path = out / f"{part}.json"
    known = json.loads(path.read_text()) if path.exists() else {}
    for name, measure in cells.items():
        if known.get(name, {}).get("studies") == studies:
            continue
        began = time.process_time()
        rng = np.random.default_rng(zlib.crc32(f"{part} {name}".encode()))
        known[name] = {"studies": studies, **measure(rng, studies)}
        path.write_text(json.dumps(known, indent=1))
        print(f"{part}: {name}: {time.process_time() - began:.0f} s", file=sys.stderr, flush=True)
    return known


def write_tables(out: Path) -> list[str]:
    """Puts each table into docs/method.md; returns the parts that are not finished."""
    page = FOLDER / "method.md"
    text, missing = page.read_text(), []
    for part, (cells, table) in PARTS.items():
        path = out / f"{part}.json"
        known = json.loads(path.read_text()) if path.exists() else {}
        if not cells.keys() <= known.keys():
            missing.append(part)
        start, end = f"<!-- {part} -->\n", f"<!-- end of {part} -->"
        before, rest = text.split(start)
        text = before + start + "\n".join(table(known)) + "\n" + end + rest.split(end)[1]
    page.write_text(text)
    return missing


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--studies", type=int, default=2000, help="simulated studies of each cell")
    parser.add_argument("--out", type=Path, default=FOLDER / "calibration", help="measured shares")
    parser.add_argument("--write", action="store_true", help="write the tables, simulate nothing")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    if options.write:
        missing = write_tables(options.out)
        print(f"not finished: {', '.join(missing) or 'nothing'}", file=sys.stderr)
        return 1 if missing else 0
    for part in options.parts or PARTS:
        simulate(part, PARTS[part][0], options.studies, options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
