"""A real Ray cluster on this machine: a head that does no work, and two nodes of one core each."""

import time
from collections.abc import Callable
from typing import Any

STORE = 100 * 2**20  # bytes of each node's object store


def _started(start: Callable[[], Any]) -> Any:
    """What `start` gives; Ray gives a node 30 seconds to start, which a busy machine may not keep."""
    for attempt in range(4):
        try:
            return start()
        except Exception:
            if attempt == 3:
                raise
            time.sleep(attempt)
    return None


class Nodes:
    """The nodes of the cluster.

    Attributes:
        address: of the head.
    """

    def __init__(self) -> None:
        from ray.cluster_utils import Cluster

        head = {"num_cpus": 0, "object_store_memory": STORE, "include_dashboard": False}
        self._cluster = _started(lambda: Cluster(initialize_head=True, head_node_args=head))
        self.address: str = self._cluster.address
        self._nodes: list[Any] = []
        self.fill()

    def fill(self) -> None:
        """Start nodes until there are two."""
        while len(self._nodes) < 2:
            self._nodes.append(_started(lambda: self._cluster.add_node(num_cpus=1, object_store_memory=STORE)))

    def kill(self) -> None:
        """Kill one of the two nodes, as a power cut would."""
        self._cluster.remove_node(self._nodes.pop(), allow_graceful=False)

    def behead(self) -> None:
        """Kill the head's part that runs work and to which this process's connection is made, as a power cut would."""
        self._cluster.head_node.all_processes["raylet"][0].process.kill()

    def end(self) -> None:
        """End all of them."""
        self._cluster.shutdown()
