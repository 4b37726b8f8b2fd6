"""The figures of Fu et al. (2023), arXiv:2310.17086, and one of our own beside them."""

SOURCE = (
    "Fu et al. (2023), Transformers learn higher-order optimization methods for in-context learning, arXiv:2310.17086"
)
