"""A generator and its critic, learning from photos of the classes, step by step."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from finprint.base.checkpoint import Checkpoint
from finprint.base.device import best_device, repeatable
from finprint.base.errors import UserError
from finprint.base.progress import bar
from finprint.base.vision import timm
from finprint.classes.generator import Critic, Generator, gradient_penalty
from finprint.classes.params import Imagine

BETAS = (0.0, 0.9)  # of Adam, as in Gulrajani et al. 2017
AVERAGED = 0.999  # decay of the moving average of the generator's weights
SAVED = 50  # steps from one checkpoint to the next
MADE_AT_ONCE = 64


@dataclass(frozen=True)
class SmallPhotos:
    """What is learned from.

    Attributes:
        views: (N, 3, S, S) uint8, plain ones.
        codes: (N,) numbers of their classes.
    """

    views: np.ndarray
    codes: np.ndarray


class Rivals:
    """A generator, its critic, and how far they are.

    Every random choice is drawn from (seed, step), so a resumed run makes the same ones.

    Args:
        classes: C.
        params: the section `imagine`.
        seed: of initial weights, and of all choices.

    Attributes:
        average: holds the generator with averaged weights.
        steps: done.
        distance: Wasserstein's, of real and made images, as the critic of the last step saw it.
    """

    def __init__(self, classes: int, params: Imagine, seed: int) -> None:
        repeatable()
        torch.manual_seed(seed)
        self.params, self.seed, self.device = params, seed, best_device()
        self.generator = Generator(classes, params.image_size, params.channels, params.noise).to(self.device)
        self.critic = Critic(classes, params.image_size, params.channels).to(self.device)
        self.average = timm.utils.ModelEmaV3(self.generator, decay=AVERAGED, use_warmup=True)
        self.optimisers = [
            torch.optim.Adam(one.parameters(), params.lr, BETAS) for one in (self.critic, self.generator)
        ]
        self.steps, self.distance = 0, 0.0

    def learn(self, photos: SmallPhotos, checkpoint: Checkpoint) -> None:
        """Learn until all steps are done; a killed run goes on from its checkpoint.

        Raises:
            UserError: the critic's scores are no numbers any more.
        """
        if (state := checkpoint.load()) is not None:
            self.take_over(state)
            print(f"resuming after step {self.steps} of {self.params.steps}", flush=True)
        with bar("learning to make images", self.params.steps, "step") as progress:
            progress.update(self.steps)
            while self.steps < self.params.steps:
                self.step(photos)
                progress.update()
                if self.steps % SAVED == 0 or self.steps == self.params.steps:
                    if not np.isfinite(self.distance):
                        raise UserError(f"the critic diverged before step {self.steps}: lower imagine.lr")
                    checkpoint.save(self.state())
                if self.steps % (10 * SAVED) == 0:
                    print(f"step {self.steps}/{self.params.steps}: distance {self.distance:.3f}", flush=True)

    def step(self, photos: SmallPhotos) -> None:
        """The critic learns `critic_steps` times, then the generator once."""
        rng = np.random.default_rng([self.seed, self.steps])
        of_critic, of_generator = self.optimisers
        for _ in range(self.params.critic_steps):
            items = rng.integers(0, len(photos.codes), self.params.batch)
            real, codes = self._real(photos.views[items]), self._codes(photos.codes[items])
            with torch.no_grad():
                made = self.generator(self._noise(rng, len(items)), codes)
            shares = torch.from_numpy(rng.random(len(items), np.float32)).to(self.device)
            distance = self.critic(real, codes).mean() - self.critic(made, codes).mean()
            penalty = gradient_penalty(self.critic, real, made, codes, shares)
            _descend(of_critic, self.params.penalty * penalty - distance)
        codes = self._codes(photos.codes[rng.integers(0, len(photos.codes), self.params.batch)])
        _descend(of_generator, -self.critic(self.generator(self._noise(rng, len(codes)), codes), codes).mean())
        self.average.update(self.generator, self.steps)
        self.steps += 1
        self.distance = distance.item()

    @torch.no_grad()
    def made(self, code: int, count: int) -> np.ndarray:
        """(count, S, S, 3) uint8 images of a class, by the averaged generator; the same each time."""
        rng = np.random.default_rng([self.seed, code, count])
        generator = self.average.module.eval()
        chunks = [min(MADE_AT_ONCE, count - start) for start in range(0, count, MADE_AT_ONCE)]
        images = [generator(self._noise(rng, each), self._codes(np.full(each, code))) for each in chunks]
        values = ((torch.cat(images) + 1) * 127.5).round().clamp(0, 255)
        return values.to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()

    def state(self) -> dict[str, Any]:
        """All that the training goes on from."""
        modules = {"generator": self.generator, "critic": self.critic, "average": self.average.module}
        state: dict[str, Any] = {name: module.state_dict() for name, module in modules.items()}
        optimisers = [optimiser.state_dict() for optimiser in self.optimisers]
        return state | {"optimisers": optimisers, "steps": self.steps, "distance": self.distance}

    def take_over(self, state: dict[str, Any]) -> None:
        """Go on from a `state`."""
        for name, module in (("generator", self.generator), ("critic", self.critic), ("average", self.average.module)):
            module.load_state_dict(state[name])
        for optimiser, kept in zip(self.optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(kept)
        self.steps, self.distance = state["steps"], state["distance"]

    def _real(self, views: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(views).to(self.device).float() / 127.5 - 1

    def _codes(self, codes: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(codes.astype(np.int64)).to(self.device)

    def _noise(self, rng: np.random.Generator, count: int) -> torch.Tensor:
        return torch.from_numpy(rng.standard_normal((count, self.params.noise), np.float32)).to(self.device)


def _descend(optimiser: torch.optim.Optimizer, loss: torch.Tensor) -> None:
    optimiser.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    optimiser.step()
