"""What the tool answers, as Python has it; `raw` is all of it, with the names of docs/protocol.md."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Optional

from . import types
from .errors import error_of


@dataclass(frozen=True)
class Status:
    """Where a migration stands."""

    id: str
    state: str
    """`RUNNING`, `COMPLETED`, `FAILED`, `INTERRUPTED` or `ROLLED_BACK`."""
    phase: str
    progress: Optional[float]
    """Of the first copy, in percent; 100 once changes are followed; None = the source does not tell how much there is."""
    lag: Optional[int]
    """Keys or changes behind; None = unknown."""
    complete: bool
    """The run is over, or everything was copied and the target follows closely."""
    eta_seconds: Optional[float]
    error: Optional[Mapping[str, str]]
    """Code, message and hint of a run that failed."""
    raw: types.ApiStatus

    @property
    def over(self) -> bool:
        """No process runs it any more."""
        return self.state != "RUNNING"


@dataclass(frozen=True)
class Verification:
    """What a comparison of both ends found."""

    status: str
    """`passed`, `differences` or `incomplete`."""
    success: bool
    compared: int
    differences: List[types.Difference]
    raw: types.ApiVerifyReport


@dataclass(frozen=True)
class Cutover:
    """How a cutover went."""

    downtime_ms: Optional[float]
    """How long writers were kept out."""
    raw: types.CutoverAnswer


def status_of(raw: Any) -> Status:
    """Reads an answer."""
    eta = raw["etaMs"]
    return Status(
        id=raw["id"],
        state=raw["state"],
        phase=raw["phase"],
        progress=raw["progress"],
        lag=raw["lag"],
        complete=raw["complete"],
        eta_seconds=None if eta is None else eta / 1000,
        error=raw["error"],
        raw=raw,
    )


def verification_of(raw: Any) -> Verification:
    """Reads an answer."""
    return Verification(raw["status"], raw["success"], raw["compared"], raw["differences"], raw)


def _must_not_have_failed(status: Status) -> None:
    if status.state == "FAILED":
        error = status.error or {}
        raise error_of(error.get("code", "FM_INTERNAL"), error.get("message", "the run failed."), error.get("hint", ""))


def completeness_of(status: Status) -> bool:
    """Whether it is complete; a run that failed is an error, or whoever waits for it would go on as if it were done."""
    _must_not_have_failed(status)
    return status.complete


def lag_of(status: Status) -> float:
    """The lag as a number: of one that is unknown nothing is assumed, so that it is greater than any."""
    _must_not_have_failed(status)
    return math.inf if status.lag is None else status.lag


def cutover_params(id: str, options: Mapping[str, Any]) -> Dict[str, Any]:
    """Names as in Python (`max_lag`), times in seconds (`timeout`, `hold`, `hook_timeout`)."""
    seconds = {"timeout": "timeoutMs", "hold": "holdMs", "hook_timeout": "hookTimeoutMs"}
    params: Dict[str, Any] = {"id": id}
    for name, value in options.items():
        if value is None or value == math.inf:
            continue
        if name in seconds:
            params[seconds[name]] = value * 1000
        else:
            first, *rest = name.split("_")
            params[first + "".join(word.capitalize() for word in rest)] = value
    return params
