"""Reports on language models: which heads move tokens, what they carry, what breaks without them, when they formed."""
