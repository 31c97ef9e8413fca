"""One migration, for ordinary code."""

from __future__ import annotations

import math
import threading
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Any, Dict, Iterator, List, Mapping, Optional, Type

from . import types
from ._named import Named
from .client import Client
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


QUIET = 5
"""Seconds after which one that tells nothing is asked."""


def _emptied(queue: SimpleQueue[Optional[Status]]) -> bool:
    """Takes out what is in it; False when it was empty."""
    was = False
    while True:
        try:
            queue.get_nowait()
            was = True
        except Empty:
            return was


def _next(queue: SimpleQueue[Optional[Status]]) -> Optional[Status]:
    try:
        return queue.get(timeout=QUIET)
    except Empty:
        return None


class Migration(Named):
    """A migration of `config`, or by its `id` one that is there already: it is seen and driven, or gone on with by `resume`.

    The tool is started when it is first needed. Leaving the `with` block, or `close`, stops gracefully what was not detached.
    """

    _client: Optional[Client] = None
    # Of all migrations: tools are started one after the other.
    _opening = threading.Lock()

    @property
    def client(self) -> Client:
        """The connection to the tool, which is started where it is not."""
        with self._opening:
            if self._client is None:
                self._client = Client(self._command, state_dir=self._state_dir, queue=self._queue)
            return self._client

    def plan(self) -> types.PlanResult:
        """What would be done, and whether a check refuses it; writes nothing."""
        answer: types.PlanResult = self.client.call("migration.plan", {"config": self._to_start()})
        return answer

    def start(self, *, detach: bool = False) -> str:
        """Starts it and gives its id, once it has passed its checks. Detached it goes on when this program ends."""
        params = {"config": self._to_start(), "detach": detach}
        self._id = str(self.client.call("migration.start", params)["id"])
        return self._id

    def resume(self, *, detach: bool = False, config: Optional[Mapping[str, Any]] = None) -> str:
        """Goes on with one that was interrupted; `config` has source and target with passwords that are not stored."""
        params: Dict[str, Any] = {"resume": self.id, "detach": detach}
        if config is not None:
            params["config"] = config
        self.client.call("migration.start", params)
        return self.id

    def status(self) -> Status:
        """Where it stands."""
        return status_of(self.client.call("migration.status", self._asked()))

    @property
    def lag(self) -> float:
        """Keys or changes that the target is behind; math.inf while nobody knows. Raises what a run failed with."""
        return lag_of(self.status())

    def is_complete(self) -> bool:
        """The run is over, or everything was copied and the target follows closely: a live one may be cut over.

        Raises what a run failed with: nothing of it is complete.
        """
        return completeness_of(self.status())

    def wait(self, until: str = "end", *, timeout: Optional[float] = None) -> Status:
        """Waits until its `end`, or until it is `live` or `complete`; raises WaitTimeoutError after `timeout` seconds."""
        limit = None if timeout is None or math.isinf(timeout) else timeout * 1000
        return status_of(self.client.call("migration.wait", self._asked(until=until, timeoutMs=limit)))

    def progress(self) -> Iterator[Status]:
        """Its status about once a second, until the run is over."""
        queue: SimpleQueue[Optional[Status]] = SimpleQueue()

        def take(name: Optional[str], params: Mapping[str, Any]) -> None:
            if name is None:
                queue.put(None)
            elif name == "progress" and params["id"] == self.id:
                queue.put(status_of(params["status"]))

        self.client.listen(take)
        try:
            status = status_of(self.client.call("migration.attach", self._asked()))
            yield status
            while not status.over:
                # What was told while somebody else was at work may be over by now: how it stands is asked.
                told = None if _emptied(queue) else _next(queue)
                # One that was detached tells nothing any more, and how a tool ended that is gone is told by asking it.
                status = told or self.status()
                yield status
        finally:
            self.client.unlisten(take)

    def pause(self) -> Status:
        """Writes nothing to the target until `unpause` (not `resume`, which starts one that was interrupted); the source is still followed."""
        return status_of(self.client.call("migration.pause", self._asked()))

    def unpause(self) -> Status:
        """Goes on after `pause`."""
        return status_of(self.client.call("migration.resume", self._asked()))

    def cutover(self, **options: Any) -> Cutover:
        """Switches over: `max_lag`, `timeout`, `verify`, `strict`, `fence`, `hold`, `after_cutover`, `hook`, `webhook`, `dry_run`."""
        raw: types.CutoverAnswer = self.client.call("migration.cutover", cutover_params(self.id, options))
        return Cutover(raw["downtimeMs"], raw)

    def cancel(self) -> bool:
        """Stops it gracefully, so that it can go on later."""
        return bool(self.client.call("migration.cancel", self._asked())["cancelled"])

    def verify(self, *, config: Optional[Mapping[str, Any]] = None) -> Verification:
        """Compares both ends by value: exactly while it runs, as they are now when it is over."""
        return verification_of(self.client.call("migration.verify", self._asked(config=config)))

    def rollback(
        self, *, force: bool = False, dry_run: bool = False, config: Optional[Mapping[str, Any]] = None
    ) -> types.RollbackReport:
        """Puts the target back as it was before."""
        params = self._asked(force=force, dryRun=dry_run, config=config)
        answer: types.RollbackReport = self.client.call("migration.rollback", params)
        return answer

    def report(self) -> types.ReportResult:
        """What is known of it: plan, what was not carried, failures, comparison, cutover."""
        answer: types.ReportResult = self.client.call("migration.report", self._asked())
        return answer

    def events(self, after: int = 0) -> List[types.NumberedEvent]:
        """The audit trail, from behind the event of that number."""
        answer: types.EventsResult = self.client.call("migration.events", self._asked(after=after))
        return answer["events"]

    def detach(self) -> Status:
        """It goes on when this program ends."""
        return status_of(self.client.call("migration.detach", self._asked()))

    def close(self) -> None:
        """Ends the tool; what was not detached stops gracefully."""
        if self._client is not None:
            self._client.close()

    def __enter__(self) -> Migration:
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self.close()
