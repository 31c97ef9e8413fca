"""What a migration is known by, whichever way it is spoken to."""

from __future__ import annotations

from typing import Any, Dict, Mapping, Optional, Sequence

from .config import MigrationConfig
from .errors import error_of


class Named:
    """A migration that `config` describes, or one that is there already by its `id`."""

    def __init__(
        self,
        config: Optional[MigrationConfig] = None,
        *,
        id: Optional[str] = None,
        command: Optional[Sequence[str]] = None,
        state_dir: Optional[str] = None,
        queue: Optional[str] = None,
    ) -> None:
        """`command` starts the tool in place of the one that is found; `state_dir` is where it keeps migrations.

        With `queue`, the address of a queue, its workers run the migration, on as many machines as there are.
        """
        if (config is None) == (id is None):
            raise error_of("FM_CONFIG_INVALID", "give either a config or the id of a migration.")
        self.config = config
        self._id = id
        self._command = command
        self._state_dir = state_dir
        self._queue = queue

    @property
    def id(self) -> str:
        """Its name."""
        if self._id is None:
            raise error_of("FM_NOT_RUNNING", "the migration was not started.", "Call start() first.")
        return self._id

    def _to_start(self) -> Mapping[str, Any]:
        if self.config is None:
            raise error_of("FM_CONFIG_INVALID", "there is no config: this one is known by its id.", "Call resume().")
        return self.config.to_wire()

    def _asked(self, **params: Any) -> Dict[str, Any]:
        """The parameters of a call about it; those that are None are left out."""
        return {"id": self.id, **{name: value for name, value in params.items() if value is not None}}
