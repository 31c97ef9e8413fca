"""What the tool says, by the names of docs/protocol.md. Made from protocol.schema.json: npm run schema."""

from __future__ import annotations

from typing import Dict, List, Literal, TypedDict, Union


class Initialized(TypedDict):
    """What `initialize` answers."""

    protocolVersion: float
    name: str
    version: str
    node: str
    """Version of Node that runs the tool."""
    stateDir: str
    """Where migrations are kept."""
    methods: List[str]
    """Names of all methods."""


class PlanResult(TypedDict):
    plan: Plan
    refused: bool
    """A check refuses the run: `findings` of level `fail` say why."""


class Plan(TypedDict):
    """What a run is going to do and why; made without writing anything but the target's probe keys."""

    source: str
    target: str
    mode: str
    apply: Literal["replay", "state"]
    reasons: List[str]
    lanes: float
    batchSize: float
    onConflict: str
    filter: FilterConfig
    transforms: List[str]
    """What changes names and values, in words."""
    sourceFacts: Dict[str, str]
    targetFacts: Dict[str, str]
    findings: List[Finding]
    keys: Union[float, None]
    plugins: List[PluginUse]
    """The packages whose code is run, and where they are."""


class _FilterConfig(TypedDict):
    include: List[str]
    """Patterns of names, as KEYS takes them."""
    exclude: List[str]
    types: List[Literal["string", "list", "set", "zset", "hash", "stream", "module"]]
    dbs: List[float]
    expiry: Literal["any", "expiring", "persistent"]
    includeRegex: List[str]
    excludeRegex: List[str]
    slots: List[str]
    """Hash slots of a cluster, such as 5 or 0-5460."""


class FilterConfig(_FilterConfig, total=False):
    """Which keys are taken; of every field that is empty or absent all."""

    minSize: float
    """Bytes of all strings of the value."""
    maxSize: float
    minTtlMs: float
    """Time left to live, ms."""
    maxTtlMs: float


class _Finding(TypedDict):
    level: Literal["info", "warn", "fail"]
    code: str
    text: str


class Finding(_Finding, total=False):
    """One finding of a preflight check. `fail` refuses the run."""

    only: Literal["changes"]
    """It matters only where changes are followed, and is not said of a snapshot."""


class PluginUse(TypedDict):
    """A plugin that a run uses."""

    name: str
    version: str
    folder: str
    what: List[str]
    """As in `source redis`."""


class StartResult(TypedDict):
    id: str


class _ApiStatus(TypedDict):
    id: str
    state: RunState
    phase: Phase
    source: str
    target: str
    mode: str
    capture: str
    apply: str
    startedAt: float
    updatedAt: float
    keysDone: float
    keysTotal: Union[float, None]
    keysFiltered: float
    """Of those read: not taken by the filter. Older states lack the words from here to `valuesPassed`."""
    keysLeftOut: float
    """Of those read: kept out by a rule or script."""
    keysKept: float
    """Of those read: right at the target already."""
    valuesPassed: float
    """Values that went on as they were because a rule could not change them."""
    bytesDone: float
    bytesTotal: Union[float, None]
    changesApplied: float
    changesFiltered: float
    changeBytes: float
    """Bytes of the change stream that are applied; `bytesDone` are those of the snapshot."""
    keysWritten: float
    keysSkipped: float
    keysDeleted: float
    keysFailed: float
    rate: float
    """Keys or changes per second, over the last seconds."""
    lagKeys: Union[float, None]
    lagBytes: Union[float, None]
    lagMs: Union[float, None]
    spoolBytes: float
    inSync: bool
    """The lag is below what a cutover would start at, or a second."""
    etaMs: Union[float, None]
    """Until the initial sync is done or the lag is gone; null = unknown."""
    paused: bool
    """Somebody paused it."""
    cutoverAt: Union[float, None]
    """When a cutover is scheduled, ms."""
    diverging: bool
    """The source writes faster than the target takes."""
    error: Union[Dict[str, object], None]
    progress: Union[float, None]
    """Of the first copy, in percent with one decimal; 100 once changes are followed; null = the source does not tell how much there is."""
    lag: Union[float, None]
    """Keys or changes behind; null = unknown."""
    complete: bool
    """The run is over, or everything was copied and the target follows so closely that a cutover may begin."""


class ApiStatus(_ApiStatus, total=False):
    """Where a migration stands, with what every client would work out of it."""

    changesSplit: float
    """Commands and transactions whose keys are in several slots of a cluster that is the target: there they are one a slot, or their keys were read again. Older states lack it."""


RunState = Literal["RUNNING", "COMPLETED", "FAILED", "INTERRUPTED", "ROLLED_BACK"]


Phase = Union[Literal["PREFLIGHT"], Literal["INITIAL_SYNC"], Literal["LIVE_SYNC"], Literal["VERIFYING"], Literal["CUTOVER"], Literal["WAITING"], Literal["STOPPING"], Literal["ROLLING_BACK"], "RunState"]


class CutoverAnswer(TypedDict):
    dryRun: bool
    downtimeMs: Union[float, None]
    """From the fence going up to the moment when the target is the one to write to, ms."""
    fence: str
    verification: Union[VerifyReport, None]
    slipped: Slipped
    steps: List[RequestStep]


class VerifyReport(TypedDict):
    compared: float
    matching: float
    mismatched: float
    missingSource: float
    missingTarget: float
    differences: List[Difference]
    """At most a thousand."""
    equal: bool
    """Everything that was asked for was compared, and is the same. Never true of what was not looked at."""
    complete: bool
    """False when it was ended before everything was looked at."""
    leftOut: float
    """Keys that a rule or script leaves out: neither compared nor equal."""
    foreign: float
    """Keys that only the target has and that are not of this migration: counted apart, unless they are to count."""
    nothing: bool
    """True when the source has keys and none of them was compared: a filter or database that is not meant."""
    at: float
    """When it was over, ms."""


class _Difference(TypedDict):
    kind: DifferenceKind
    db: float
    key: str
    keyBase64: str
    """All bytes of the key."""
    detail: str


class Difference(_Difference, total=False):
    """One key whose two ends are not the same."""

    parts: List[ElementDifference]
    """The first parts of the value that differ, of the first hundred such keys; `partCount` counts all."""
    partCount: float


DifferenceKind = Literal["missing-target", "missing-source", "type", "value", "ttl", "unreadable"]


class _ElementDifference(TypedDict):
    part: str
    """What it is: `value`, `length`, `[3]`, `field`, `member`, `score`, `entry`, `last-id`, `group`, `pending`, `field-expiry`."""
    name: Union[EncodedBytes, None]
    """Which one: a field, a member, an entry id, a group and an id."""
    source: Union[EncodedBytes, None]
    target: Union[EncodedBytes, None]


class ElementDifference(_ElementDifference, total=False):
    """One part of a value that differs; a side that lacks it is null."""

    around: Around
    """Where two long strings begin to differ; absent where they are seen whole."""


class _EncodedBytes(TypedDict):
    byteLength: float
    """All of its bytes; more than are shown when it was cut."""


class EncodedBytes(_EncodedBytes, total=False):
    """Bytes for a report: as text where they are valid UTF-8 without control characters, else as base64; cut."""

    text: str
    base64: str


Around = TypedDict("Around", {
    "at": float,
    "from": float,
    "source": "EncodedBytes",
    "target": "EncodedBytes",
})


class Slipped(TypedDict):
    """Keys that were written to the source behind a fence and are not at the target; `more` when there are others."""

    keys: List[str]
    more: bool


class RequestStep(TypedDict):
    """One step that a request takes, shown to who asked as it happens."""

    at: float
    name: str
    text: str


class CancelResult(TypedDict):
    cancelled: bool
    """False: there was nothing to call off, or it was too late."""


class ApiVerifyReport(TypedDict):
    """A comparison, with its outcome in a word."""

    compared: float
    matching: float
    mismatched: float
    missingSource: float
    missingTarget: float
    differences: List[Difference]
    """At most a thousand."""
    equal: bool
    """Everything that was asked for was compared, and is the same. Never true of what was not looked at."""
    complete: bool
    """False when it was ended before everything was looked at."""
    leftOut: float
    """Keys that a rule or script leaves out: neither compared nor equal."""
    foreign: float
    """Keys that only the target has and that are not of this migration: counted apart, unless they are to count."""
    nothing: bool
    """True when the source has keys and none of them was compared: a filter or database that is not meant."""
    at: float
    """When it was over, ms."""
    status: Literal["passed", "differences", "incomplete"]
    """`passed`: all that was asked for was compared, and is the same. `incomplete`: it was ended before."""
    success: bool
    """The same as `status` being `passed`."""


class RollbackReport(TypedDict):
    dryRun: bool
    removed: float
    """Keys that the migration had created."""
    restored: float
    """Keys that have their former value and expiry again."""
    unchanged: float
    """Keys that were as before already."""
    kept: float
    """Keys that others wrote since, or may have: left as they are."""
    keptExamples: List[str]
    failed: float
    interrupted: bool


class SourceAnalysis(TypedDict):
    survey: SourceSurvey
    totalKeys: float
    lookedAt: float
    error: float
    """Half the width of the 95% confidence interval of shares, 0 when everything was looked at."""
    summary: KeySummary
    compatibility: List[CompatibilityNote]
    recommendations: List[str]
    writeTest: Union[WriteTest, None]
    estimate: Union[Dict[str, object], None]
    """Expected time of the initial copy, ms; null = unknown."""


class _SourceSurvey(TypedDict):
    product: str
    version: str
    keys: Dict[str, object]
    usedMemory: float
    commands: Dict[str, object]
    """How often each command (upper case) was called since the server started."""
    modules: List[str]
    functions: float
    scripts: float
    """Lua scripts in its cache."""
    users: float
    """Users of its ACL besides the default one."""
    role: str
    cluster: bool
    """It is one node of a cluster, and keys of the others are not seen."""


class SourceSurvey(_SourceSurvey, total=False):
    """What a server says of itself."""

    shards: List[ShardSurvey]
    """The shards of a cluster, all of which is seen."""


class _ShardSurvey(TypedDict):
    shard: str
    place: str
    """Where it is, to print."""
    slots: str
    """Ranges, as `0-5460,5462`."""
    slotCount: float
    keys: float
    usedMemory: float
    fullest: List[SlotSurvey]
    """The slots that hold most keys, the fullest first."""


class ShardSurvey(_ShardSurvey, total=False):
    """What a primary of a cluster says of itself."""

    hottest: List[SlotSurvey]
    """The slots whose commands take most time, the hottest first; absent where the server does not count that."""


class _SlotSurvey(TypedDict):
    slot: float
    keys: float


class SlotSurvey(_SlotSurvey, total=False):
    """A slot of a cluster."""

    cpuMs: float
    """What its commands have taken since the server began to count, ms."""


class _KeySummary(TypedDict):
    keys: float
    bytes: float
    types: List[TypeStatistics]
    encodings: List[Dict[str, object]]
    databases: List[Dict[str, object]]
    ttl: List[TtlBucket]
    patterns: List[KeyPattern]
    bigKeys: List[BigKey]


class KeySummary(_KeySummary, total=False):
    """What was seen of a store's keys; sums are of what was looked at, scaled by the caller's weight."""

    tree: PrefixNode


class TypeStatistics(TypedDict):
    type: str
    keys: float
    bytes: float
    elements: float


class TtlBucket(TypedDict):
    name: str
    keys: float


class KeyPattern(TypedDict):
    """One shape of key names: `user:*`."""

    pattern: str
    keys: float
    bytes: float
    shortLived: float
    """Of these, keys that expire within an hour."""
    example: str


class BigKey(TypedDict):
    db: float
    key: str
    type: str
    bytes: float
    elements: float


class PrefixNode(TypedDict):
    """A prefix of names, with those below it."""

    prefix: str
    keys: float
    bytes: float
    children: List[PrefixNode]
    """The largest first; small ones are together as `(other)`."""


class CompatibilityNote(TypedDict):
    level: Literal["ok", "warn"]
    text: str


class WriteTest(TypedDict):
    """A short test of writing the source's own values to the target, under temporary names that are removed again."""

    keys: float
    bytes: float
    ms: float


class ReportResult(TypedDict):
    """What is known of a migration beside its status."""

    status: ApiStatus
    plan: Union[Plan, None]
    """Null = none was made."""
    report: Union[StoredReport, None]
    """Null = none was written yet."""
    passes: List[Pass]


class StoredReport(TypedDict):
    """What is kept of a report beside the status: written at the end, and now and then while a run goes on."""

    passed: Dict[str, object]
    """Values that no rule could change and that went on as they were (`--on-transform-error pass`)."""
    notCarried: List[Dict[str, object]]
    failures: List[Dict[str, object]]
    verification: Union[VerifyReport, None]
    changesSinceVerification: Union[float, None]
    """Changes that were applied after it; null = there was none."""
    cutover: Union[CutoverResult, None]
    rollback: Union[RollbackReport, None]


class CutoverResult(TypedDict):
    dryRun: bool
    downtimeMs: Union[float, None]
    """From the fence going up to the moment when the target is the one to write to, ms."""
    fence: str
    verification: Union[VerifyReport, None]
    slipped: Slipped


class Pass(TypedDict):
    """One pass of an incremental migration."""

    number: float
    startedAt: float
    endedAt: float
    sync: Literal["full", "partial"]
    """`partial`: from the source's backlog; `full`: everything was compared."""
    written: float
    deleted: float
    changes: float


class ListResult(TypedDict):
    migrations: List[ApiStatus]
    """Newest first."""


class EventsResult(TypedDict):
    events: List[NumberedEvent]


class NumberedEvent(TypedDict):
    """An event with its place among all that were written: one that comes later has a greater number."""

    at: float
    type: str
    text: str
    actor: str
    number: float


class SamplesResult(TypedDict):
    samples: List[Sample]


class Sample(TypedDict):
    at: float
    phase: str
    keys: float
    changes: float
    rate: float
    lagKeys: Union[float, None]
    lagBytes: Union[float, None]
    lagMs: Union[float, None]


class MetricsResult(TypedDict):
    samples: List[MetricValue]


class MetricValue(TypedDict):
    """A value of a metric; docs/metrics.md has the names."""

    name: str
    labels: Dict[str, str]
    value: float


class ProgressNotice(TypedDict):
    """About once a second while a migration runs that is watched."""

    id: str
    status: ApiStatus


class PhaseNotice(TypedDict):
    """It entered another phase; the last is COMPLETED, FAILED, INTERRUPTED or ROLLED_BACK."""

    id: str
    phase: Phase
    at: float
    """ms"""


class NoteNotice(TypedDict):
    """Something that the audit trail has."""

    id: str
    event: NumberedEvent


class StepNotice(TypedDict):
    """A step of a cutover that this client asked for."""

    id: str
    step: RequestStep


ErrorData = "ToldError"


class ToldError(TypedDict):
    """An error as plain JSON, as it goes from one process to another."""

    code: str
    message: str
    hint: str
    retryable: bool
