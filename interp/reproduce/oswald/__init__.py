"""The figures of von Oswald et al. (2022), arXiv:2212.07677."""

SOURCE = "von Oswald et al. (2022), Transformers learn in-context by gradient descent, arXiv:2212.07677"
