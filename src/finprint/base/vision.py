"""timm and torchvision, imported without torch's compiler: it takes 2 to 3 seconds, and nothing is compiled here.

Whoever needs one of them imports it from here, because the first import counts.
"""

import torch  # noqa: F401

from finprint.base.light import Later, standing_for

with standing_for({name: Later(name) for name in ("torch._dynamo", "torch._dynamo.utils")}):
    import timm
    import torchvision

__all__ = ["timm", "torchvision"]
