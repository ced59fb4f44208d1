"""finprint: photo-ID of individual whales and dolphins, from photographs to ranked identities."""

import os

# Read once, when torch is first imported. By default idle threads spin: with anything else running
# beside them, training then takes several times as long (measured in docs/log.md).
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
