"""The client for ordinary code: one thread reads what the tool says."""

from __future__ import annotations

import subprocess
import threading
import time
import weakref
from concurrent.futures import Future
from typing import Any, Mapping, Optional, Sequence

from ._core import PROTOCOL_VERSION, Core, Listener, misunderstood
from .config import rpc_command
from .errors import MigrateError, error_of

CLOSES_WITHIN = 60
"""Seconds that a tool may take to write what it has read."""


class _Pipe:
    """The tool's process and the core, behind one lock."""

    def __init__(self, command: Sequence[str]) -> None:
        try:
            self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        except OSError as error:
            raise error_of("FM_TOOL_MISSING", f"{command[0]} could not be started: {error}.") from error
        self.core = Core()
        self.lock = threading.Lock()
        self._writing = threading.Lock()

    def write(self, line: bytes) -> None:
        """Writes; of a closed pipe nothing is said, since the reader is about to tell how the tool ended."""
        assert self.process.stdin
        view = memoryview(line)
        try:
            with self._writing:
                while view:
                    view = view[self.process.stdin.write(view) or 0 :]
        except (OSError, ValueError):
            pass

    def read(self) -> None:
        """Feeds the core until the output ends; runs in a thread of its own."""
        assert self.process.stdout
        reason: Optional[MigrateError] = None
        while chunk := self.process.stdout.read(65536):
            try:
                with self.lock:
                    self.core.feed(chunk)
            except Exception as error:
                # Whoever waits is told, whatever it was.
                reason = misunderstood(error)
                self.process.kill()
                break
        code = self.process.wait()
        self.process.stdout.close()
        with self.lock:
            self.core.close(reason or self.core.ended(code))

    def close(self) -> None:
        """Ends the input, upon which the tool stops what was not detached and ends; kills it if it does not."""
        assert self.process.stdin
        deadline = time.monotonic() + CLOSES_WITHIN
        # A thread may be stuck writing to a tool that reads no more; killing the tool frees it.
        if not self._writing.acquire(timeout=CLOSES_WITHIN):
            self.process.kill()
            self._writing.acquire()
        try:
            self.process.stdin.close()
        finally:
            self._writing.release()
        try:
            self.process.wait(timeout=max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Client:
    """A running `ferrite-migrate rpc`. May be used by several threads."""

    def __init__(
        self,
        command: Optional[Sequence[str]] = None,
        *,
        state_dir: Optional[str] = None,
        protocol_version: int = PROTOCOL_VERSION,
        timeout: float = 30,
    ) -> None:
        self._pipe = _Pipe(rpc_command(command, state_dir))
        # The thread and the finalizer hold the pipe, not the client, which may so be collected.
        self._thread = threading.Thread(target=self._pipe.read, name="ferrite-migrate", daemon=True)
        self._thread.start()
        self._finalizer = weakref.finalize(self, self._pipe.close)
        try:
            self.call("initialize", {"protocolVersion": protocol_version}, timeout=timeout)
        except BaseException:
            self.close()
            raise

    @property
    def pid(self) -> int:
        """Process id of the tool."""
        return self._pipe.process.pid

    def call(self, method: str, params: Mapping[str, Any], *, timeout: Optional[float] = None) -> Any:
        """Asks, and waits for as long as the tool lives; `timeout` in seconds raises TimeoutError."""
        slot: Future[Any] = Future()
        with self._pipe.lock:
            line = self._pipe.core.request(method, params, slot)
        self._pipe.write(line)
        try:
            return slot.result(timeout)
        finally:
            with self._pipe.lock:
                self._pipe.core.forget(slot)

    def listen(self, listener: Listener) -> None:
        """Calls it, in the reading thread, with every notification; it must not wait there."""
        with self._pipe.lock:
            self._pipe.core.listen(listener)

    def unlisten(self, listener: Listener) -> None:
        """Takes it away again."""
        with self._pipe.lock:
            self._pipe.core.unlisten(listener)

    def close(self) -> None:
        """Ends the tool, and gracefully what it runs and was not detached; may be called twice."""
        self._finalizer()
        if threading.current_thread() is not self._thread:
            self._thread.join()
