"""JSON-RPC 2.0, one message a line, without any input or output: bytes in, bytes out.

Both clients drive a Core. It is not safe for threads; whoever drives it sees to that.
"""

from __future__ import annotations

import json
from typing import Any, Callable, Dict, List, Mapping, Optional, Protocol, Sequence, Tuple, cast

from .errors import MigrateError, error_of

PROTOCOL_VERSION = 1
MOST_LINE = 256 << 20

Listener = Callable[[Optional[str], Mapping[str, Any]], None]
"""Gets every notification by its name, and None when no more will come."""


Notice = Tuple[str, Mapping[str, Any]]


class Slot(Protocol):
    """Where an answer goes: a future of threads or of asyncio."""

    def done(self) -> bool: ...
    def set_result(self, result: Any, /) -> None: ...
    def set_exception(self, exception: Any, /) -> None: ...


class Core:
    """The requests under way, the listeners, and what has arrived of a line."""

    def __init__(self) -> None:
        self.closed: Optional[MigrateError] = None
        self._buffer = bytearray()
        self._pending: Dict[int, Slot] = {}
        self._listeners: List[Listener] = []
        self._last = 0

    def request(self, method: str, params: Mapping[str, Any], slot: Slot) -> bytes:
        """The line to write; `slot` gets the answer. Raises when the tool is gone."""
        if self.closed is not None:
            raise self.closed
        message = {"jsonrpc": "2.0", "id": self._last + 1, "method": method, "params": params}
        # JSON has no infinity: ValueError, before anything waits for an answer.
        line = json.dumps(message, separators=(",", ":"), allow_nan=False).encode() + b"\n"
        self._last += 1
        self._pending[self._last] = slot
        return line

    def forget(self, slot: Slot) -> None:
        """Drops a request that nobody waits for any more."""
        self._pending = {number: one for number, one in self._pending.items() if one is not slot}

    def listen(self, listener: Listener) -> None:
        """Adds a listener. One that comes when the tool is gone already is told by whoever drives the core."""
        self._listeners.append(listener)

    @property
    def listeners(self) -> Sequence[Listener]:
        """Those there are now; whoever drives the core calls them, with nothing held."""
        return tuple(self._listeners)

    def unlisten(self, listener: Listener) -> None:
        """Removes it again."""
        self._listeners = [one for one in self._listeners if one is not listener]

    def feed(self, chunk: bytes) -> List[Notice]:
        """Takes what the tool wrote, and gives its notifications. Raises ProtocolError when it is not of the protocol."""
        # Only the new bytes are searched, so that a long line costs linear time.
        scanned = len(self._buffer)
        self._buffer += chunk
        if self._buffer.find(b"\n", scanned) < 0:
            if len(self._buffer) > MOST_LINE:
                raise error_of("FM_PROTOCOL", "the tool wrote a line without an end.")
            return []
        *lines, rest = self._buffer.split(b"\n")
        self._buffer = rest
        notices: List[Notice] = []
        for line in lines:
            notice = self._take(bytes(line)) if line.strip() else None
            if notice is not None:
                notices.append(notice)
        return notices

    def close(self, reason: MigrateError) -> None:
        """Nothing more will come: everyone who waits gets the reason."""
        if self.closed is not None:
            return
        self.closed = reason
        pending, self._pending = self._pending, {}
        for slot in pending.values():
            if not slot.done():
                slot.set_exception(reason)

    def ended(self, code: Optional[int]) -> MigrateError:
        """What is said of a tool that has ended."""
        half = ", in the middle of a message" if self._buffer else ""
        return error_of(
            "FM_TOOL_LOST",
            f"ferrite-migrate is gone: it ended ({code}){half}.",
            "A migration that it ran can be gone on with by its id; start it again, and look why it ended.",
            True,
        )

    def _take(self, line: bytes) -> Optional[Notice]:
        message = _record(_parsed(line))
        if message is None:
            raise error_of("FM_PROTOCOL", "the tool wrote a line that is no message.")
        if "method" in message:
            return str(message["method"]), _record(message.get("params")) or {}
        number = message.get("id")
        # Read before the request counts as answered: of an answer that cannot be read its caller must hear as well.
        refusal = _refusal(_record(message["error"]) or {}) if "error" in message else None
        if number is None and refusal is not None:
            # The tool could not tell whose question it was: one that waits would wait for ever.
            raise refusal
        slot = self._pending.pop(number, None) if isinstance(number, int) else None
        if slot is None or slot.done():
            return None
        if refusal is not None:
            slot.set_exception(refusal)
        else:
            slot.set_result(message.get("result"))
        return None


def misunderstood(error: Exception) -> MigrateError:
    """What becomes of whatever goes wrong while the tool's output is taken."""
    if isinstance(error, MigrateError):
        return error
    return error_of("FM_PROTOCOL", f"what the tool said could not be taken ({type(error).__name__}: {error}).")


def _parsed(line: bytes) -> object:
    try:
        return json.loads(line)
    except ValueError:
        return None


def _record(value: object) -> Optional[Dict[str, Any]]:
    return cast("Dict[str, Any]", value) if isinstance(value, dict) else None


def _refusal(error: Mapping[str, Any]) -> MigrateError:
    data = _record(error.get("data"))
    if data is not None and "code" in data:
        message = data.get("message", error.get("message"))
        return error_of(str(data["code"]), str(message), str(data.get("hint", "")), data.get("retryable") is True)
    return error_of(
        "FM_PROTOCOL",
        f"the call was refused ({error.get('code')}): {error.get('message')}.",
        "Tool and package may be of different versions.",
    )
