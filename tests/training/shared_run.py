"""A run that several processes share: accelerate launch -m tests.training.shared_run FOLDER BATCH_SIZE."""

import sys

import torch

from interp.training import train
from interp.training.team import launched
from tests.training.recipes import tiny_recipe

if __name__ == "__main__":
    torch.set_num_threads(1)
    sys.stdout.write(f"one of {launched()} processes\n")
    train(tiny_recipe(batch_size=int(sys.argv[2]), frozen=("W_Q",)), sys.argv[1], seed=1)
