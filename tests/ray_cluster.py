"""A Ray of two nodes on this machine, in a process of its own: says its address on stdout, does
what it is told by lines on stdin ("lose", "stop"), and ends when stdin does.

Never import it in a test: Ray forks, which a process with threads of jax must not do.
"""

import sys


def main() -> None:
    from ray.cluster_utils import Cluster

    cluster = Cluster(head_node_args={"num_cpus": 1, "include_dashboard": False}, initialize_head=True)
    second = cluster.add_node(num_cpus=1)
    cluster.wait_for_nodes()
    print(cluster.address, flush=True)
    for line in sys.stdin:
        if line.strip() == "lose":
            cluster.remove_node(second, allow_graceful=False)
            print("lost", flush=True)
        else:
            break
    cluster.shutdown()


if __name__ == "__main__":
    main()
