"""timm and torchvision are imported without torch's compiler, and work."""

import os
import subprocess
import sys
from pathlib import Path

SRC = Path(__file__).parents[2] / "src"

PROGRAM = """
import sys
from finprint.base.light import import_pandera

import_pandera()
import finprint.base.vision
left = {"torch._dynamo", "torch._dynamo.utils", "torch._inductor", "hypothesis"} & set(sys.modules)
assert not left, left
import torch
from torchvision.ops import batched_nms, roi_align
from finprint.model.embedder import Embedder, ModelConfig

assert Embedder(ModelConfig("tf_efficientnet_lite0", "gem", 8, 32)).eval()(torch.rand(2, 3, 32, 32)).shape == (2, 8)
boxes = torch.tensor([[0.0, 0, 4, 4], [0, 0, 4, 4.1]])
assert batched_nms(boxes, torch.tensor([0.9, 0.8]), torch.zeros(2), 0.5).tolist() == [0]
assert roi_align(torch.ones(1, 1, 8, 8), [boxes], 2).shape == (2, 1, 2, 2)
import finprint.bundle.command
slow = {"torch._dynamo", "torch._inductor", "hypothesis", "sklearn", "scipy", "ultralytics", "openpyxl"}
assert not slow & set(sys.modules), slow & set(sys.modules)
import hypothesis.strategies
import torch._dynamo

assert hypothesis.strategies.integers(1, 1) is not None
assert torch._dynamo.is_compiling is not None and "Later" not in type(sys.modules["torch._dynamo"]).__name__
import_pandera()
assert "torch._dynamo" in sys.modules
"""


def test_the_compiler_is_left_out_and_can_be_imported_afterwards() -> None:
    environment = os.environ | {"PYTHONPATH": str(SRC)}
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
