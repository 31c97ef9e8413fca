"""What can go wrong. Each error has a code of ferrite-migrate, what happened, and what to do."""

from __future__ import annotations

from typing import Dict, Optional, Type


class MigrateError(Exception):
    """An error of ferrite-migrate; docs/errors.md lists the codes."""

    def __init__(self, code: str, message: str, hint: str = "", retryable: bool = False) -> None:
        super().__init__(f"{code}: {message}" + (f" {hint}" if hint else ""))
        self.code = code
        self.message = message
        self.hint = hint
        self.retryable = retryable


class ConfigError(MigrateError):
    """The configuration or an option of it is wrong."""


class ConnectError(MigrateError):
    """A server cannot be reached, or refuses who asks."""


class PreflightError(MigrateError):
    """A check refused the migration before anything was written."""


class NotRunningError(MigrateError):
    """No process runs the migration that was asked for something."""


class CutoverError(MigrateError):
    """The cutover did not begin or was called off; the migration goes on."""


class RollbackError(MigrateError):
    """The target cannot be put back."""


class VerifyError(MigrateError):
    """The comparison is not possible, or it found differences where none were allowed."""


class TakenError(MigrateError):
    """Another process runs the migration, or brings the same changes to the same target."""


class WaitTimeoutError(MigrateError, TimeoutError):
    """What was waited for did not come in time; the migration goes on."""


class UnknownMigrationError(MigrateError):
    """There is no migration of that id."""


class ProtocolError(MigrateError):
    """Tool and package do not understand each other: they may be of different versions."""


class ToolError(MigrateError):
    """The tool was not found, or has ended."""


_BY_PREFIX: Dict[str, Type[MigrateError]] = {
    "FM_CONFIG_": ConfigError,
    "FM_OPTION_": ConfigError,
    "FM_URL_": ConfigError,
    "FM_CONNECT_": ConnectError,
    "FM_AUTH_": ConnectError,
    "FM_PREFLIGHT_": PreflightError,
    "FM_NOT_RUNNING": NotRunningError,
    "FM_CUTOVER_": CutoverError,
    "FM_FENCE_": CutoverError,
    "FM_ROLLBACK_": RollbackError,
    "FM_VERIFY_": VerifyError,
    "FM_ID_TAKEN": TakenError,
    "FM_RUN_TAKEN": TakenError,
    "FM_TARGET_TAKEN": TakenError,
    "FM_ID_UNKNOWN": UnknownMigrationError,
    "FM_WAIT_TIMEOUT": WaitTimeoutError,
    "FM_PROTOCOL": ProtocolError,
    "FM_TOOL_": ToolError,
}


def error_of(code: str, message: str, hint: str = "", retryable: bool = False) -> MigrateError:
    """The exception that belongs to a code: the nearest class there is."""
    kind: Optional[Type[MigrateError]] = None
    for prefix, of in _BY_PREFIX.items():
        if code.startswith(prefix):
            kind = of
    return (kind or MigrateError)(code, message, hint, retryable)
