"""`python -m ferrite_migrate`: the program, found as the package finds it."""

import os
import subprocess
import sys

from .config import program_command
from .errors import MigrateError


def main() -> int:
    """Becomes the program, where the system can; gives its exit code otherwise."""
    try:
        command = program_command()
    except MigrateError as error:
        print(f"Error {error.code}: {error.message}\n  {error.hint}", file=sys.stderr)
        return 2
    command += sys.argv[1:]
    if os.name == "posix":
        os.execv(command[0], command)
    return subprocess.call(command)


if __name__ == "__main__":
    sys.exit(main())
