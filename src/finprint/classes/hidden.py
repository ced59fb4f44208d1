"""A head with one hidden layer for frozen features."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from finprint.base.device import best_device
from finprint.classes.heads import hidden_layer
from finprint.classes.linear import Examples

EPOCHS = 40
BATCH = 128
RATE = 0.001  # peak of one cycle
DECAY = 0.05
MIXED = 0.4  # both parameters of mixup's beta distribution
SMOOTHING = 0.05
DROPPED = (0.2, 0.5)  # of the values, of the units


def fit_hidden(examples: Examples, units: int) -> nn.Sequential:
    """Trained by AdamW with mixup (Zhang et al., ICLR 2018), dropout and label smoothing, the same each time.

    In each epoch a photo is shown in one of its views.

    Args:
        examples: standardised.
        units: of the hidden layer.

    Returns:
        Values (N, L) to logits (N, C).
    """
    device, rng = best_device(), np.random.default_rng(0)
    views, length = examples.values.shape[1:]
    values = torch.from_numpy(examples.values).to(device)
    codes = torch.from_numpy(examples.codes.astype(np.int64)).to(device)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layers = hidden_layer(length, units, examples.count).to(device)
        optimiser = torch.optim.AdamW(layers.parameters(), RATE, weight_decay=DECAY)
        batch = min(BATCH, len(codes))
        steps = len(codes) // batch
        cycle = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=EPOCHS * steps)
        for _ in range(EPOCHS):
            for rows in rng.permutation(len(codes))[: steps * batch].reshape(steps, batch):
                share = float(rng.beta(MIXED, MIXED))
                shown, labels = values[rows, rng.integers(views, size=batch)], codes[rows]
                mixed = F.dropout(share * shown + (1 - share) * shown.flip(0), DROPPED[0])
                logits = layers[2](F.dropout(layers[1](layers[0](mixed)), DROPPED[1]))
                first, second = (
                    F.cross_entropy(logits, told, label_smoothing=SMOOTHING) for told in (labels, labels.flip(0))
                )
                optimiser.zero_grad()
                loss = share * first + (1 - share) * second
                loss.backward()  # type: ignore[no-untyped-call]
                optimiser.step()
                cycle.step()
    return layers.cpu().eval().requires_grad_(False)
