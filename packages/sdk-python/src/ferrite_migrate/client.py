"""The client for ordinary code: one thread reads what the tool says."""

from __future__ import annotations

import os
import subprocess
import threading
import time
import traceback
import weakref
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from typing import Any, Mapping, Optional, Sequence

from ._core import PROTOCOL_VERSION, Core, Listener, misunderstood
from .config import rpc_command, rpc_environment
from .errors import MigrateError, error_of

CLOSES_WITHIN = 60
"""Seconds that a tool may take to write what it has read."""


class _Pipe:
    """The tool's process and the core, behind one lock."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        pipe = subprocess.PIPE
        try:
            self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, bufsize=0, env=environment)
        except OSError as error:
            raise error_of("FM_TOOL_MISSING", f"{command[0]} could not be started: {error}.") from error
        self.core = Core()
        # A listener, or what is collected within it, may come back for it.
        self.lock = threading.RLock()
        self._writing = threading.Lock()
        self._owner = os.getpid()
        _PIPES.add(self)

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
        try:
            while chunk := self.process.stdout.read(65536):
                with self.lock:
                    notices = self.core.feed(chunk)
                for name, params in notices:
                    self._tell(name, params)
        except Exception as error:
            # Whoever waits is told, whatever it was.
            reason = misunderstood(error)
            self.process.kill()
        code = self.process.wait()
        self.process.stdout.close()
        with self.lock:
            self.core.close(reason or self.core.ended(code))
        self._tell(None, {})

    def _tell(self, name: Optional[str], params: Mapping[str, Any]) -> None:
        for listener in self.core.listeners:
            try:
                listener(name, params)
            except Exception:
                # Its own fault: nobody else's waiting ends by it.
                traceback.print_exc()

    def forked(self) -> None:
        """In a process that was forked from this one: the tool belongs to the other, which alone can end it."""
        for end in (self.process.stdin, self.process.stdout):
            if end is not None:
                try:
                    os.close(end.fileno())
                except (OSError, ValueError):
                    pass
        self.core.closed = error_of("FM_TOOL_LOST", "this process was forked from the one that started the tool.", "Make a client of its own.")

    def close(self) -> None:
        """Ends the input, upon which the tool stops what was not detached and ends; kills it if it does not."""
        assert self.process.stdin
        if self._owner != os.getpid():
            return
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


_PIPES: "weakref.WeakSet[_Pipe]" = weakref.WeakSet()


def _after_fork() -> None:
    for pipe in list(_PIPES):
        pipe.forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


class Client:
    """A running `ferrite-migrate rpc`. May be used by several threads."""

    def __init__(
        self,
        command: Optional[Sequence[str]] = None,
        *,
        state_dir: Optional[str] = None,
        queue: Optional[str] = None,
        protocol_version: int = PROTOCOL_VERSION,
        timeout: float = 30,
    ) -> None:
        self._pipe = _Pipe(rpc_command(command, state_dir), rpc_environment(queue))
        # The thread and the finalizer hold the pipe, not the client, which may so be collected.
        self._thread = threading.Thread(target=self._pipe.read, name="ferrite-migrate", daemon=True)
        self._thread.start()
        self._finalizer = weakref.finalize(self, self._pipe.close)
        try:
            self.call("initialize", {"protocolVersion": protocol_version}, timeout=timeout)
        except BaseException:
            # It does nothing yet that would have to be ended gracefully.
            self._pipe.process.kill()
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
        except FutureTimeout as error:
            if slot.done():
                raise
            # Before Python 3.11 it is a class of its own.
            raise TimeoutError(f"no answer to {method} within {timeout} s") from error
        finally:
            with self._pipe.lock:
                self._pipe.core.forget(slot)

    def listen(self, listener: Listener) -> None:
        """Calls it, in the reading thread, with every notification; it must not wait there."""
        with self._pipe.lock:
            self._pipe.core.listen(listener)
            gone = self._pipe.core.closed is not None
        if gone:
            listener(None, {})

    def unlisten(self, listener: Listener) -> None:
        """Takes it away again."""
        with self._pipe.lock:
            self._pipe.core.unlisten(listener)

    def close(self) -> None:
        """Ends the tool, and gracefully what it runs and was not detached; may be called twice."""
        self._finalizer()
        if threading.current_thread() is not self._thread and self._thread.is_alive():
            self._thread.join()
