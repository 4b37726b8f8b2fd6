"""The subcommands of ``interp``, one module each; loaded only when called."""
