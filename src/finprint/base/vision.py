"""timm and torchvision, imported without torch's compiler: it takes 2 to 3 seconds, and nothing is compiled here.

Whoever needs one of them imports it from here, because the first import counts.
"""

import gc

import torch  # noqa: F401

from finprint.base.light import Later, standing_for

COMPILER, UTILS = "torch._dynamo", "torch._dynamo.utils"

gc.disable()  # nothing of what is imported is garbage, and the collector would look at all of it time and again
with standing_for(COMPILER, Later(COMPILER)), standing_for(UTILS, Later(UTILS)):
    import timm
    import torchvision
gc.enable()

__all__ = ["timm", "torchvision"]
