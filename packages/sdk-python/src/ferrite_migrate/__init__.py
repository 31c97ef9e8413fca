"""Drives ferrite-migrate, which moves a live Redis, Valkey or Memcached, or files, into Ferrite."""

from .aio import AsyncClient, AsyncMigration
from .client import Client
from .config import MigrationConfig
from .errors import (
    ConfigError,
    ConnectError,
    CutoverError,
    MigrateError,
    NotRunningError,
    PreflightError,
    ProtocolError,
    RollbackError,
    TakenError,
    ToolError,
    UnknownMigrationError,
    VerifyError,
    WaitTimeoutError,
)
from .migration import Migration
from .results import Cutover, Status, Verification

__version__ = "0.1.0"

__all__ = [
    "AsyncClient",
    "AsyncMigration",
    "Client",
    "ConfigError",
    "ConnectError",
    "Cutover",
    "CutoverError",
    "MigrateError",
    "Migration",
    "MigrationConfig",
    "NotRunningError",
    "PreflightError",
    "ProtocolError",
    "RollbackError",
    "Status",
    "TakenError",
    "ToolError",
    "UnknownMigrationError",
    "Verification",
    "VerifyError",
    "WaitTimeoutError",
    "__version__",
]
