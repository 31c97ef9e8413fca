"""The same for asyncio."""

from __future__ import annotations

import asyncio
import math
from types import TracebackType
from typing import Any, AsyncIterator, Dict, List, Mapping, Optional, Sequence, Type

from . import types
from ._core import PROTOCOL_VERSION, Core, Listener, misunderstood
from .client import CLOSES_WITHIN
from ._named import Named
from .config import rpc_command, rpc_environment
from .errors import MigrateError, error_of
from .migration import QUIET
from .results import (
    Cutover,
    Status,
    Verification,
    completeness_of,
    cutover_params,
    lag_of,
    status_of,
    verification_of,
)


class AsyncClient:
    """A running `ferrite-migrate rpc`; made by `open`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._core = Core()
        self._reader = asyncio.ensure_future(self._read())

    @classmethod
    async def open(
        cls,
        command: Optional[Sequence[str]] = None,
        *,
        state_dir: Optional[str] = None,
        queue: Optional[str] = None,
        timeout: float = 30,
    ) -> AsyncClient:
        """Starts the tool and agrees on the protocol."""
        pipe = asyncio.subprocess.PIPE
        found = rpc_command(command, state_dir)
        try:
            process = await asyncio.create_subprocess_exec(
                *found, stdin=pipe, stdout=pipe, env=rpc_environment(queue)
            )
        except OSError as error:
            raise error_of("FM_TOOL_MISSING", f"{found[0]} could not be started: {error}.") from error
        client = cls(process)
        try:
            await asyncio.wait_for(client.call("initialize", {"protocolVersion": PROTOCOL_VERSION}), timeout)
        except BaseException:
            # It does nothing yet that would have to be ended gracefully.
            if process.returncode is None:
                process.kill()
            await client.close()
            raise
        return client

    async def call(self, method: str, params: Mapping[str, Any]) -> Any:
        """Asks and waits for the answer; for a limit use asyncio.wait_for."""
        slot: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        line = self._core.request(method, params, slot)
        assert self._process.stdin
        try:
            self._process.stdin.write(line)
            await self._process.stdin.drain()
        except (OSError, RuntimeError):
            pass  # A closed pipe: the reader is about to tell how the tool ended.
        try:
            return await slot
        finally:
            self._core.forget(slot)

    def listen(self, listener: Listener) -> None:
        """Calls it with every notification."""
        self._core.listen(listener)
        if self._core.closed is not None:
            listener(None, {})

    def unlisten(self, listener: Listener) -> None:
        """Takes it away again."""
        self._core.unlisten(listener)

    async def close(self) -> None:
        """Ends the tool, and gracefully what it runs and was not detached; may be called twice."""
        assert self._process.stdin
        self._process.stdin.close()
        try:
            await asyncio.wait_for(asyncio.shield(self._reader), CLOSES_WITHIN)
        except asyncio.TimeoutError:
            self._process.kill()
            await self._reader

    async def _read(self) -> None:
        assert self._process.stdout
        reason: Optional[MigrateError] = None
        # read(), not readline(): that one gives up on long lines.
        try:
            while chunk := await self._process.stdout.read(65536):
                for name, params in self._core.feed(chunk):
                    self._tell(name, params)
        except Exception as error:
            # Whoever waits is told, whatever it was.
            reason = misunderstood(error)
            if self._process.returncode is None:
                self._process.kill()
        code = await self._process.wait()
        self._core.close(reason or self._core.ended(code))
        self._tell(None, {})

    def _tell(self, name: Optional[str], params: Mapping[str, Any]) -> None:
        for listener in self._core.listeners:
            try:
                listener(name, params)
            except Exception as error:
                # Its own fault: nobody else's waiting ends by it.
                context = {"message": "a listener of ferrite-migrate raised", "exception": error}
                asyncio.get_running_loop().call_exception_handler(context)


class AsyncMigration(Named):
    """A migration of `config`, or one that is there already by its `id`; used with `async with`."""

    _opening: Optional[asyncio.Future[AsyncClient]] = None

    async def client(self) -> AsyncClient:
        """The connection to the tool, which is started where it is not."""
        if self._opening is None:
            # Those who ask meanwhile get the same.
            self._opening = asyncio.ensure_future(
                AsyncClient.open(self._command, state_dir=self._state_dir, queue=self._queue)
            )
        try:
            return await asyncio.shield(self._opening)
        except MigrateError:
            self._opening = None
            raise

    async def call(self, method: str, **params: Any) -> Any:
        """Asks something of this migration by the names of docs/protocol.md."""
        client = await self.client()
        return await client.call(method, self._asked(**params))

    async def start(self, *, detach: bool = False) -> str:
        """Starts it and gives its id, once it has passed its checks."""
        params = {"config": self._to_start(), "detach": detach}
        client = await self.client()
        answer = await client.call("migration.start", params)
        self._id = str(answer["id"])
        return self._id

    async def plan(self) -> types.PlanResult:
        """What would be done, and whether a check refuses it; writes nothing."""
        client = await self.client()
        answer: types.PlanResult = await client.call("migration.plan", {"config": self._to_start()})
        return answer

    async def resume(self, *, detach: bool = False, config: Optional[Mapping[str, Any]] = None) -> str:
        """Goes on with one that was interrupted; `config` has source and target with passwords that are not stored."""
        client = await self.client()
        params: Dict[str, Any] = {"resume": self.id, "detach": detach}
        if config is not None:
            params["config"] = config
        await client.call("migration.start", params)
        return self.id

    async def status(self) -> Status:
        """Where it stands."""
        return status_of(await self.call("migration.status"))

    async def lag(self) -> float:
        """Keys or changes that the target is behind; math.inf while nobody knows."""
        return lag_of(await self.status())

    async def is_complete(self) -> bool:
        """The run is over, or everything was copied and the target follows closely. Raises what a run failed with."""
        return completeness_of(await self.status())

    async def wait(self, until: str = "end", *, timeout: Optional[float] = None) -> Status:
        """Waits until its `end`, or until it is `live` or `complete`; raises WaitTimeoutError after `timeout` seconds."""
        limit = None if timeout is None or math.isinf(timeout) else timeout * 1000
        return status_of(await self.call("migration.wait", until=until, timeoutMs=limit))

    async def progress(self) -> AsyncIterator[Status]:
        """Its status about once a second, until the run is over."""
        client = await self.client()
        queue: asyncio.Queue[Optional[Status]] = asyncio.Queue()

        def take(name: Optional[str], params: Mapping[str, Any]) -> None:
            if name is None:
                queue.put_nowait(None)
            elif name == "progress" and params["id"] == self.id:
                queue.put_nowait(status_of(params["status"]))

        client.listen(take)
        try:
            status = status_of(await self.call("migration.attach"))
            yield status
            while not status.over:
                told: Optional[Status] = None
                if queue.empty():
                    try:
                        told = await asyncio.wait_for(queue.get(), QUIET)
                    except asyncio.TimeoutError:
                        # One that was detached tells nothing any more; how it stands is still to be had.
                        told = None
                while not queue.empty():
                    # What was told while somebody else was at work may be over by now: how it stands is asked.
                    queue.get_nowait()
                    told = None
                # How a tool ended that is gone is told by asking it.
                status = told or await self.status()
                yield status
        finally:
            client.unlisten(take)

    async def pause(self) -> Status:
        """Writes nothing to the target until `unpause`; the source is still followed."""
        return status_of(await self.call("migration.pause"))

    async def unpause(self) -> Status:
        """Goes on after `pause`."""
        return status_of(await self.call("migration.resume"))

    async def cutover(self, **options: Any) -> Cutover:
        """Switches over; the options of `Migration.cutover`."""
        client = await self.client()
        raw: types.CutoverAnswer = await client.call("migration.cutover", cutover_params(self.id, options))
        return Cutover(raw["downtimeMs"], raw)

    async def cancel(self) -> bool:
        """Stops it gracefully, so that it can go on later."""
        return bool((await self.call("migration.cancel"))["cancelled"])

    async def verify(self, *, config: Optional[Mapping[str, Any]] = None) -> Verification:
        """Compares both ends by value."""
        return verification_of(await self.call("migration.verify", config=config))

    async def rollback(
        self, *, force: bool = False, dry_run: bool = False, config: Optional[Mapping[str, Any]] = None
    ) -> types.RollbackReport:
        """Puts the target back as it was before."""
        answer: types.RollbackReport = await self.call(
            "migration.rollback", force=force, dryRun=dry_run, config=config
        )
        return answer

    async def report(self) -> types.ReportResult:
        """What is known of it: plan, what was not carried, failures, comparison, cutover."""
        answer: types.ReportResult = await self.call("migration.report")
        return answer

    async def events(self, after: int = 0) -> List[types.NumberedEvent]:
        """The audit trail, from behind the event of that number."""
        answer: types.EventsResult = await self.call("migration.events", after=after)
        return answer["events"]

    async def detach(self) -> Status:
        """It goes on when this program ends."""
        return status_of(await self.call("migration.detach"))

    async def close(self) -> None:
        """Ends the tool; what was not detached stops gracefully."""
        if self._opening is not None:
            await (await self._opening).close()

    async def __aenter__(self) -> AsyncMigration:
        return self

    async def __aexit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        await self.close()
