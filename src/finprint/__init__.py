"""finprint: photo-ID of individual whales and dolphins, from photographs to ranked identities."""

import os
import time

# Read once, when torch is first imported: for how long OpenMP's idle threads spin before they sleep. Not at all costs
# a sixth of the training speed; the default, for long, costs most of it beside another process (docs/log.md).
os.environ.setdefault("GOMP_SPINCOUNT", "3000")

BEGAN = time.time_ns()  # code that is edited from now on is not what this process runs (base/unchanged.py)
