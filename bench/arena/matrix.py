"""Writes the matrix of a run of zmq-arena with this workspace's target among the others.

It is the harness's own matrix, made by its own generator, with three differences: our target is in it; REQ and REP, which we
do not have, are not; and cells that are measured for a time take a shorter one. Targets that have not been built are left
out, and named.
"""

import argparse
import importlib.util
from pathlib import Path


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkout", type=Path, help="of zmq-arena, where its targets have been built")
    parser.add_argument("target", type=Path, help="our program, zmtp-arena-target")
    parser.add_argument("--seconds", type=float, default=1.0, help="of cells that are measured for a time")
    parser.add_argument("--sizes", default="16,64,256,1024,4096,16384", help="octets of messages")
    parser.add_argument("--without", default="", help="these variants, by their names in the table, separated by commas")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()

    spec = importlib.util.spec_from_file_location("gen_matrix", options.checkout / "scripts/gen_matrix.py")
    arena = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(arena)

    kinds = ["throughput", "pubsub", "fanout", "fanin"]
    ours = {"id": "zmtp", "binary": str(options.target.resolve()), "count_knobs": {}, "mp_knobs": {}, "kinds": kinds}
    arena.TARGETS[1:1] = [dict(ours), dict(ours, variant="multi_thread")]
    # What a variant of several threads is measured for is that it has them, as omq's.
    arena.MULTI_LANE_VARIANTS.add(("zmtp", "multi_thread"))
    arena.HEADLINE_KINDS = ["throughput", "pubsub"]
    arena.IPC_KINDS = ["throughput"]
    arena.DURATION_SECS = options.seconds

    built = []
    for target in arena.TARGETS:
        name = target["id"] + ("_" + target["variant"] if target.get("variant") else "")
        if name in options.without.split(","):
            continue
        if (options.checkout / target["binary"]).exists():
            built.append(target)
        else:
            print(f"not built, and so left out: {name}")
    arena.TARGETS = built

    entries = arena.build([int(size) for size in options.sizes.split(",")])
    isolation = {"cpuset_cpus": arena.DEFAULT_CPUSET, "cpuset_mems": "0", "memory_max_bytes": arena.DEFAULT_MEMORY_MAX}
    matrix = {"isolation": isolation, "replication": arena.REPLICATION, "entries": entries}
    options.out.write_text(arena.json.dumps(matrix, indent=2) + "\n")
    print(f"{len(entries)} cells of {len(built)} variants in {options.out}")


if __name__ == "__main__":
    main()
