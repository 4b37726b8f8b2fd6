"""A training run for the tests to kill: python -m tests.training.killed_run FOLDER."""

import sys

import torch

from interp.training import train
from tests.training.recipes import tiny_recipe

LONG = {"steps": 400, "resume_every": 25}

if __name__ == "__main__":
    torch.set_num_threads(1)
    train(tiny_recipe(**LONG), sys.argv[1], seed=1, resume=True)
