"""The ``interp`` command: finds the subcommand, runs it, and turns errors into one message and an exit status."""

import os
import sys
from collections.abc import Sequence
from importlib import import_module

from interp import __version__
from interp._names import unknown_name
from interp._usage import UsageError

COMMANDS = {
    "zoo": "List the trained models that come with the toolkit.",
    "train": "Train a model by a recipe, into a run folder.",
    "report": "Analyse a model and write an interpretability report (HTML and JSON).",
    "match": "Compare every layer of a model with the iterates of known algorithms.",
    "probe": "Fit linear readouts of every layer.",
    "heads": "Score attention heads, and ablate them.",
    "import-garg": "Turn a run folder of Garg et al.'s released code into one of ours.",
    "reproduce": "Compute a published figure anew, with a verdict on each of its claims.",
    "sweep": "Train and analyse many runs, over fields of a recipe and seeds, on Ray.",
    "bench": "Measure speed, ours beside a plain way.",
}
"""Subcommands, each a module of interp.commands (with underscores for hyphens) with a function ``run(arguments)``."""

FAILED, BAD_USAGE = 1, 2
DEBUG = "INTERP_DEBUG"
"""Set in the environment, it lets errors through with their traceback."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line; returns the exit status: 0, 1 (failed) or 2 (bad usage)."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if not given or given[0] in ("-h", "--help"):
        sys.stdout.write(_help())
        return 0 if given else BAD_USAGE
    if given[0] in ("-V", "--version"):
        sys.stdout.write(f"interp {__version__}\n")
        return 0
    # Threads that wait for each other spin, and on a machine that is busy with something else they spin for nothing: a
    # match took ten times as long. Threads that never spin make an update of a small model take 1.6 times as long. So
    # they spin for about a tenth of a millisecond, and then sleep. PyTorch reads this when it is first imported.
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "20000")
    name, *rest = given
    try:
        if name not in COMMANDS:
            raise unknown_name("command", name, COMMANDS)
        import_module(f"interp.commands.{name.replace('-', '_')}").run(rest)
    except SystemExit as stop:  # tyro's: 0 after --help, 2 after bad usage
        return stop.code if isinstance(stop.code, int) else FAILED
    except KeyboardInterrupt:
        return _fail("Interrupted; what was written before stays.")
    except UsageError as error:
        return _fail(str(error), BAD_USAGE)
    except (ValueError, OSError) as error:
        return _fail(_message(error))
    except Exception as error:
        return _fail(
            f"An unexpected {type(error).__name__} stopped the command: {error}. This is a bug in interp; "
            f"run again with {DEBUG}=1 to see where, and report it."
        )
    return 0


def _fail(message: str, status: int = FAILED) -> int:
    if os.environ.get(DEBUG):
        raise
    sys.stderr.write(f"interp: {message}\n")
    return status


def _message(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno is not None:
        where = "" if error.filename is None else f"{error.filename}: "
        return f"{where}{error.strerror}."
    return str(error)


def _help() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {text}" for name, text in COMMANDS.items()]
    return (
        "usage: interp COMMAND [OPTIONS]\n\nWhich algorithm does this transformer run in its forward pass?\n\n"
        + "\n".join(lines)
        + "\n\n'interp COMMAND --help' lists a command's options. MODEL is a zoo name (lsa-1layer), a run folder,\n"
        "a construction (gd:steps=3,dim=5) or an untrained twin (untrained:lsa-1layer,seed=3).\n"
    )
