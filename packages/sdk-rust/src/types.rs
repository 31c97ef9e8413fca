//! What the tool says, by the names of docs/protocol.md. Made from protocol.schema.json: npm run schema.

#![allow(clippy::doc_markdown, clippy::struct_excessive_bools)]

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What `initialize` answers.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Initialized {
    /// `protocolVersion`.
    pub protocol_version: f64,
    /// `name`.
    pub name: String,
    /// `version`.
    pub version: String,
    /// Version of Node that runs the tool.
    pub node: String,
    /// Where migrations are kept.
    pub state_dir: String,
    /// Names of all methods.
    pub methods: Vec<String>,
}

/// As the tool has it.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct PlanResult {
    /// `plan`.
    pub plan: Plan,
    /// A check refuses the run: `findings` of level `fail` say why.
    pub refused: bool,
}

/// What a run is going to do and why; made without writing anything but the target's probe keys.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Plan {
    /// `source`.
    pub source: String,
    /// `target`.
    pub target: String,
    /// `mode`.
    pub mode: String,
    /// `apply`.
    pub apply: PlanApply,
    /// `reasons`.
    pub reasons: Vec<String>,
    /// `lanes`.
    pub lanes: f64,
    /// `batchSize`.
    pub batch_size: f64,
    /// `onConflict`.
    pub on_conflict: String,
    /// `filter`.
    pub filter: FilterConfig,
    /// What changes names and values, in words.
    pub transforms: Vec<String>,
    /// `sourceFacts`.
    pub source_facts: BTreeMap<String, String>,
    /// `targetFacts`.
    pub target_facts: BTreeMap<String, String>,
    /// `findings`.
    pub findings: Vec<Finding>,
    /// `keys`.
    pub keys: Option<f64>,
    /// The packages whose code is run, and where they are.
    pub plugins: Vec<PluginUse>,
}

/// Which keys are taken; of every field that is empty or absent all.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct FilterConfig {
    /// Patterns of names, as KEYS takes them.
    pub include: Vec<String>,
    /// `exclude`.
    pub exclude: Vec<String>,
    /// `types`.
    pub types: Vec<FilterConfigTypes>,
    /// `dbs`.
    pub dbs: Vec<f64>,
    /// `expiry`.
    pub expiry: FilterConfigExpiry,
    /// `includeRegex`.
    pub include_regex: Vec<String>,
    /// `excludeRegex`.
    pub exclude_regex: Vec<String>,
    /// Bytes of all strings of the value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_size: Option<f64>,
    /// `maxSize`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_size: Option<f64>,
    /// Time left to live, ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_ttl_ms: Option<f64>,
    /// `maxTtlMs`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_ttl_ms: Option<f64>,
    /// Hash slots of a cluster, such as 5 or 0-5460.
    pub slots: Vec<String>,
}

/// One finding of a preflight check. `fail` refuses the run.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Finding {
    /// `level`.
    pub level: FindingLevel,
    /// `code`.
    pub code: String,
    /// `text`.
    pub text: String,
    /// It matters only where changes are followed, and is not said of a snapshot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub only: Option<FindingOnly>,
}

/// A plugin that a run uses.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct PluginUse {
    /// `name`.
    pub name: String,
    /// `version`.
    pub version: String,
    /// `folder`.
    pub folder: String,
    /// As in `source redis`.
    pub what: Vec<String>,
}

/// As the tool has it.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct StartResult {
    /// `id`.
    pub id: String,
}

/// Where a migration stands, with what every client would work out of it.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ApiStatus {
    /// `id`.
    pub id: String,
    /// `state`.
    pub state: RunState,
    /// `phase`.
    pub phase: Phase,
    /// `source`.
    pub source: String,
    /// `target`.
    pub target: String,
    /// `mode`.
    pub mode: String,
    /// `capture`.
    pub capture: String,
    /// `apply`.
    pub apply: String,
    /// `startedAt`.
    pub started_at: f64,
    /// `updatedAt`.
    pub updated_at: f64,
    /// `keysDone`.
    pub keys_done: f64,
    /// `keysTotal`.
    pub keys_total: Option<f64>,
    /// Of those read: not taken by the filter. Older states lack the words from here to `valuesPassed`.
    pub keys_filtered: f64,
    /// Of those read: kept out by a rule or script.
    pub keys_left_out: f64,
    /// Of those read: right at the target already.
    pub keys_kept: f64,
    /// Values that went on as they were because a rule could not change them.
    pub values_passed: f64,
    /// `bytesDone`.
    pub bytes_done: f64,
    /// `bytesTotal`.
    pub bytes_total: Option<f64>,
    /// `changesApplied`.
    pub changes_applied: f64,
    /// `changesFiltered`.
    pub changes_filtered: f64,
    /// Commands and transactions whose keys are in several slots of a cluster that is the target: there they are one a slot, or their keys were read again. Older states lack it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changes_split: Option<f64>,
    /// Bytes of the change stream that are applied; `bytesDone` are those of the snapshot.
    pub change_bytes: f64,
    /// `keysWritten`.
    pub keys_written: f64,
    /// `keysSkipped`.
    pub keys_skipped: f64,
    /// `keysDeleted`.
    pub keys_deleted: f64,
    /// `keysFailed`.
    pub keys_failed: f64,
    /// Keys or changes per second, over the last seconds.
    pub rate: f64,
    /// `lagKeys`.
    pub lag_keys: Option<f64>,
    /// `lagBytes`.
    pub lag_bytes: Option<f64>,
    /// `lagMs`.
    pub lag_ms: Option<f64>,
    /// `spoolBytes`.
    pub spool_bytes: f64,
    /// The lag is below what a cutover would start at, or a second.
    pub in_sync: bool,
    /// Until the initial sync is done or the lag is gone; null = unknown.
    pub eta_ms: Option<f64>,
    /// Somebody paused it.
    pub paused: bool,
    /// When a cutover is scheduled, ms.
    pub cutover_at: Option<f64>,
    /// The source writes faster than the target takes.
    pub diverging: bool,
    /// `error`.
    pub error: Option<ApiStatusError>,
    /// Of the first copy, in percent with one decimal; 100 once changes are followed; null = the source does not tell how much there is.
    pub progress: Option<f64>,
    /// Keys or changes behind; null = unknown.
    pub lag: Option<f64>,
    /// The run is over, or everything was copied and the target follows so closely that a cutover may begin.
    pub complete: bool,
}

/// A word of the tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[non_exhaustive]
pub enum RunState {
    /** `RUNNING` */
    #[serde(rename = "RUNNING")]
    Running,
    /** `COMPLETED` */
    #[serde(rename = "COMPLETED")]
    Completed,
    /** `FAILED` */
    #[serde(rename = "FAILED")]
    Failed,
    /** `INTERRUPTED` */
    #[serde(rename = "INTERRUPTED")]
    Interrupted,
    /** `ROLLED_BACK` */
    #[serde(rename = "ROLLED_BACK")]
    RolledBack,
    /** One that this version does not know. */
    #[serde(other)]
    Other,
}

/// Phases as users see them.
pub type Phase = serde_json::Value;

/// As the tool has it.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct CutoverAnswer {
    /// `dryRun`.
    pub dry_run: bool,
    /// From the fence going up to the moment when the target is the one to write to, ms.
    pub downtime_ms: Option<f64>,
    /// `fence`.
    pub fence: String,
    /// `verification`.
    pub verification: Option<VerifyReport>,
    /// `slipped`.
    pub slipped: Slipped,
    /// `steps`.
    pub steps: Vec<RequestStep>,
}

/// As the tool has it.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct VerifyReport {
    /// `compared`.
    pub compared: f64,
    /// `matching`.
    pub matching: f64,
    /// `mismatched`.
    pub mismatched: f64,
    /// `missingSource`.
    pub missing_source: f64,
    /// `missingTarget`.
    pub missing_target: f64,
    /// At most a thousand.
    pub differences: Vec<Difference>,
    /// Everything that was asked for was compared, and is the same. Never true of what was not looked at.
    pub equal: bool,
    /// False when it was ended before everything was looked at.
    pub complete: bool,
    /// Keys that a rule or script leaves out: neither compared nor equal.
    pub left_out: f64,
    /// Keys that only the target has and that are not of this migration: counted apart, unless they are to count.
    pub foreign: f64,
    /// True when the source has keys and none of them was compared: a filter or database that is not meant.
    pub nothing: bool,
    /// When it was over, ms.
    pub at: f64,
}

/// One key whose two ends are not the same.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Difference {
    /// `kind`.
    pub kind: DifferenceKind,
    /// `db`.
    pub db: f64,
    /// `key`.
    pub key: String,
    /// All bytes of the key.
    pub key_base64: String,
    /// `detail`.
    pub detail: String,
    /// The first parts of the value that differ, of the first hundred such keys; `partCount` counts all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parts: Option<Vec<ElementDifference>>,
    /// `partCount`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part_count: Option<f64>,
}

/// A word of the tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[non_exhaustive]
pub enum DifferenceKind {
    /** `missing-target` */
    #[serde(rename = "missing-target")]
    MissingTarget,
    /** `missing-source` */
    #[serde(rename = "missing-source")]
    MissingSource,
    /** `type` */
    #[serde(rename = "type")]
    Type,
    /** `value` */
    #[serde(rename = "value")]
    Value,
    /** `ttl` */
    #[serde(rename = "ttl")]
    Ttl,
    /** `unreadable` */
    #[serde(rename = "unreadable")]
    Unreadable,
    /** One that this version does not know. */
    #[serde(other)]
    Other,
}

/// One part of a value that differs; a side that lacks it is null.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ElementDifference {
    /// What it is: `value`, `length`, `[3]`, `field`, `member`, `score`, `entry`, `last-id`, `group`, `pending`, `field-expiry`.
    pub part: String,
    /// Which one: a field, a member, an entry id, a group and an id.
    pub name: Option<EncodedBytes>,
    /// `source`.
    pub source: Option<EncodedBytes>,
    /// `target`.
    pub target: Option<EncodedBytes>,
    /// Where two long strings begin to differ; absent where they are seen whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub around: Option<Around>,
}

/// Bytes for a report: as text where they are valid UTF-8 without control characters, else as base64; cut.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct EncodedBytes {
    /// `text`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// `base64`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base64: Option<String>,
    /// All of its bytes; more than are shown when it was cut.
    pub byte_length: f64,
}

/// What two strings hold where they begin to differ.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Around {
    /// The first byte that differs.
    pub at: f64,
    /// From shortly before it on; `from` is where that is.
    pub from: f64,
    /// `source`.
    pub source: EncodedBytes,
    /// `target`.
    pub target: EncodedBytes,
}

/// Keys that were written to the source behind a fence and are not at the target; `more` when there are others.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Slipped {
    /// `keys`.
    pub keys: Vec<String>,
    /// `more`.
    pub more: bool,
}

/// One step that a request takes, shown to who asked as it happens.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct RequestStep {
    /// `at`.
    pub at: f64,
    /// `name`.
    pub name: String,
    /// `text`.
    pub text: String,
}

/// As the tool has it.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct CancelResult {
    /// False: there was nothing to call off, or it was too late.
    pub cancelled: bool,
}

/// A comparison, with its outcome in a word.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ApiVerifyReport {
    /// `compared`.
    pub compared: f64,
    /// `matching`.
    pub matching: f64,
    /// `mismatched`.
    pub mismatched: f64,
    /// `missingSource`.
    pub missing_source: f64,
    /// `missingTarget`.
    pub missing_target: f64,
    /// At most a thousand.
    pub differences: Vec<Difference>,
    /// Everything that was asked for was compared, and is the same. Never true of what was not looked at.
    pub equal: bool,
    /// False when it was ended before everything was looked at.
    pub complete: bool,
    /// Keys that a rule or script leaves out: neither compared nor equal.
    pub left_out: f64,
    /// Keys that only the target has and that are not of this migration: counted apart, unless they are to count.
    pub foreign: f64,
    /// True when the source has keys and none of them was compared: a filter or database that is not meant.
    pub nothing: bool,
    /// When it was over, ms.
    pub at: f64,
    /// `passed`: all that was asked for was compared, and is the same. `incomplete`: it was ended before.
    pub status: ApiVerifyReportStatus,
    /// The same as `status` being `passed`.
    pub success: bool,
}

/// As the tool has it.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct RollbackReport {
    /// `dryRun`.
    pub dry_run: bool,
    /// Keys that the migration had created.
    pub removed: f64,
    /// Keys that have their former value and expiry again.
    pub restored: f64,
    /// Keys that were as before already.
    pub unchanged: f64,
    /// Keys that others wrote since, or may have: left as they are.
    pub kept: f64,
    /// `keptExamples`.
    pub kept_examples: Vec<String>,
    /// `failed`.
    pub failed: f64,
    /// `interrupted`.
    pub interrupted: bool,
}

/// As the tool has it.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct SourceAnalysis {
    /// `survey`.
    pub survey: SourceSurvey,
    /// `totalKeys`.
    pub total_keys: f64,
    /// `lookedAt`.
    pub looked_at: f64,
    /// Half the width of the 95% confidence interval of shares, 0 when everything was looked at.
    pub error: f64,
    /// `summary`.
    pub summary: KeySummary,
    /// `compatibility`.
    pub compatibility: Vec<CompatibilityNote>,
    /// `recommendations`.
    pub recommendations: Vec<String>,
    /// `writeTest`.
    pub write_test: Option<WriteTest>,
    /// Expected time of the initial copy, ms; null = unknown.
    pub estimate: Option<SourceAnalysisEstimate>,
}

/// What a server says of itself.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct SourceSurvey {
    /// `product`.
    pub product: String,
    /// `version`.
    pub version: String,
    /// `keys`.
    pub keys: SourceSurveyKeys,
    /// `usedMemory`.
    pub used_memory: f64,
    /// How often each command (upper case) was called since the server started.
    pub commands: SourceSurveyCommands,
    /// `modules`.
    pub modules: Vec<String>,
    /// `functions`.
    pub functions: f64,
    /// Lua scripts in its cache.
    pub scripts: f64,
    /// Users of its ACL besides the default one.
    pub users: f64,
    /// `role`.
    pub role: String,
    /// It is one node of a cluster, and keys of the others are not seen.
    pub cluster: bool,
    /// The shards of a cluster, all of which is seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shards: Option<Vec<ShardSurvey>>,
}

/// What a primary of a cluster says of itself.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ShardSurvey {
    /// `shard`.
    pub shard: String,
    /// Where it is, to print.
    pub place: String,
    /// Ranges, as `0-5460,5462`.
    pub slots: String,
    /// `slotCount`.
    pub slot_count: f64,
    /// `keys`.
    pub keys: f64,
    /// `usedMemory`.
    pub used_memory: f64,
    /// The slots that hold most keys, the fullest first.
    pub fullest: Vec<SlotSurvey>,
    /// The slots whose commands take most time, the hottest first; absent where the server does not count that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hottest: Option<Vec<SlotSurvey>>,
}

/// A slot of a cluster.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct SlotSurvey {
    /// `slot`.
    pub slot: f64,
    /// `keys`.
    pub keys: f64,
    /// What its commands have taken since the server began to count, ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_ms: Option<f64>,
}

/// What was seen of a store's keys; sums are of what was looked at, scaled by the caller's weight.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct KeySummary {
    /// `keys`.
    pub keys: f64,
    /// `bytes`.
    pub bytes: f64,
    /// `types`.
    pub types: Vec<TypeStatistics>,
    /// `encodings`.
    pub encodings: Vec<KeySummaryEncodings>,
    /// `databases`.
    pub databases: Vec<KeySummaryDatabases>,
    /// `ttl`.
    pub ttl: Vec<TtlBucket>,
    /// `patterns`.
    pub patterns: Vec<KeyPattern>,
    /// `bigKeys`.
    pub big_keys: Vec<BigKey>,
    /// `tree`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tree: Option<PrefixNode>,
}

/// As the tool has it.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct TypeStatistics {
    /// `type`.
    pub r#type: String,
    /// `keys`.
    pub keys: f64,
    /// `bytes`.
    pub bytes: f64,
    /// `elements`.
    pub elements: f64,
}

/// As the tool has it.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct TtlBucket {
    /// `name`.
    pub name: String,
    /// `keys`.
    pub keys: f64,
}

/// One shape of key names: `user:*`.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct KeyPattern {
    /// `pattern`.
    pub pattern: String,
    /// `keys`.
    pub keys: f64,
    /// `bytes`.
    pub bytes: f64,
    /// Of these, keys that expire within an hour.
    pub short_lived: f64,
    /// `example`.
    pub example: String,
}

/// As the tool has it.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct BigKey {
    /// `db`.
    pub db: f64,
    /// `key`.
    pub key: String,
    /// `type`.
    pub r#type: String,
    /// `bytes`.
    pub bytes: f64,
    /// `elements`.
    pub elements: f64,
}

/// A prefix of names, with those below it.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct PrefixNode {
    /// `prefix`.
    pub prefix: String,
    /// `keys`.
    pub keys: f64,
    /// `bytes`.
    pub bytes: f64,
    /// The largest first; small ones are together as `(other)`.
    pub children: Vec<PrefixNode>,
}

/// As the tool has it.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct CompatibilityNote {
    /// `level`.
    pub level: CompatibilityNoteLevel,
    /// `text`.
    pub text: String,
}

/// A short test of writing the source's own values to the target, under temporary names that are removed again.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct WriteTest {
    /// `keys`.
    pub keys: f64,
    /// `bytes`.
    pub bytes: f64,
    /// `ms`.
    pub ms: f64,
}

/// What is known of a migration beside its status.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ReportResult {
    /// `status`.
    pub status: ApiStatus,
    /// Null = none was made.
    pub plan: Option<Plan>,
    /// Null = none was written yet.
    pub report: Option<StoredReport>,
    /// `passes`.
    pub passes: Vec<Pass>,
}

/// What is kept of a report beside the status: written at the end, and now and then while a run goes on.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct StoredReport {
    /// Values that no rule could change and that went on as they were (`--on-transform-error pass`).
    pub passed: StoredReportPassed,
    /// `notCarried`.
    pub not_carried: Vec<StoredReportNotCarried>,
    /// `failures`.
    pub failures: Vec<StoredReportFailures>,
    /// `verification`.
    pub verification: Option<VerifyReport>,
    /// Changes that were applied after it; null = there was none.
    pub changes_since_verification: Option<f64>,
    /// `cutover`.
    pub cutover: Option<CutoverResult>,
    /// `rollback`.
    pub rollback: Option<RollbackReport>,
}

/// As the tool has it.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct CutoverResult {
    /// `dryRun`.
    pub dry_run: bool,
    /// From the fence going up to the moment when the target is the one to write to, ms.
    pub downtime_ms: Option<f64>,
    /// `fence`.
    pub fence: String,
    /// `verification`.
    pub verification: Option<VerifyReport>,
    /// `slipped`.
    pub slipped: Slipped,
}

/// One pass of an incremental migration.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Pass {
    /// `number`.
    pub number: f64,
    /// `startedAt`.
    pub started_at: f64,
    /// `endedAt`.
    pub ended_at: f64,
    /// `partial`: from the source's backlog; `full`: everything was compared.
    pub sync: PassSync,
    /// `written`.
    pub written: f64,
    /// `deleted`.
    pub deleted: f64,
    /// `changes`.
    pub changes: f64,
}

/// As the tool has it.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ListResult {
    /// Newest first.
    pub migrations: Vec<ApiStatus>,
}

/// As the tool has it.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct EventsResult {
    /// `events`.
    pub events: Vec<NumberedEvent>,
}

/// An event with its place among all that were written: one that comes later has a greater number.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct NumberedEvent {
    /// `at`.
    pub at: f64,
    /// `type`.
    pub r#type: String,
    /// `text`.
    pub text: String,
    /// `actor`.
    pub actor: String,
    /// `number`.
    pub number: f64,
}

/// As the tool has it.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct SamplesResult {
    /// `samples`.
    pub samples: Vec<Sample>,
}

/// As the tool has it.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Sample {
    /// `at`.
    pub at: f64,
    /// `phase`.
    pub phase: String,
    /// `keys`.
    pub keys: f64,
    /// `changes`.
    pub changes: f64,
    /// `rate`.
    pub rate: f64,
    /// `lagKeys`.
    pub lag_keys: Option<f64>,
    /// `lagBytes`.
    pub lag_bytes: Option<f64>,
    /// `lagMs`.
    pub lag_ms: Option<f64>,
}

/// As the tool has it.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct MetricsResult {
    /// `samples`.
    pub samples: Vec<MetricValue>,
}

/// A value of a metric; docs/metrics.md has the names.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct MetricValue {
    /// `name`.
    pub name: String,
    /// `labels`.
    pub labels: BTreeMap<String, String>,
    /// `value`.
    pub value: f64,
}

/// About once a second while a migration runs that is watched.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ProgressNotice {
    /// `id`.
    pub id: String,
    /// `status`.
    pub status: ApiStatus,
}

/// It entered another phase; the last is COMPLETED, FAILED, INTERRUPTED or ROLLED_BACK.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct PhaseNotice {
    /// `id`.
    pub id: String,
    /// `phase`.
    pub phase: Phase,
    /// ms
    pub at: f64,
}

/// Something that the audit trail has.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct NoteNotice {
    /// `id`.
    pub id: String,
    /// `event`.
    pub event: NumberedEvent,
}

/// A step of a cutover that this client asked for.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct StepNotice {
    /// `id`.
    pub id: String,
    /// `step`.
    pub step: RequestStep,
}

/// `data` of an error whose code is -32000; docs/errors.md lists the codes.
pub type ErrorData = ToldError;

/// An error as plain JSON, as it goes from one process to another.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ToldError {
    /// `code`.
    pub code: String,
    /// `message`.
    pub message: String,
    /// `hint`.
    pub hint: String,
    /// `retryable`.
    pub retryable: bool,
}

/// A word of the tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[non_exhaustive]
pub enum PlanApply {
    /** `replay` */
    #[serde(rename = "replay")]
    Replay,
    /** `state` */
    #[serde(rename = "state")]
    State,
    /** One that this version does not know. */
    #[serde(other)]
    Other,
}

/// A word of the tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[non_exhaustive]
pub enum FilterConfigTypes {
    /** `string` */
    #[serde(rename = "string")]
    String,
    /** `list` */
    #[serde(rename = "list")]
    List,
    /** `set` */
    #[serde(rename = "set")]
    Set,
    /** `zset` */
    #[serde(rename = "zset")]
    Zset,
    /** `hash` */
    #[serde(rename = "hash")]
    Hash,
    /** `stream` */
    #[serde(rename = "stream")]
    Stream,
    /** `module` */
    #[serde(rename = "module")]
    Module,
    /** One that this version does not know. */
    #[serde(other)]
    Other,
}

/// A word of the tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[non_exhaustive]
pub enum FilterConfigExpiry {
    /** `any` */
    #[serde(rename = "any")]
    Any,
    /** `expiring` */
    #[serde(rename = "expiring")]
    Expiring,
    /** `persistent` */
    #[serde(rename = "persistent")]
    Persistent,
    /** One that this version does not know. */
    #[serde(other)]
    Other,
}

/// A word of the tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[non_exhaustive]
pub enum FindingLevel {
    /** `info` */
    #[serde(rename = "info")]
    Info,
    /** `warn` */
    #[serde(rename = "warn")]
    Warn,
    /** `fail` */
    #[serde(rename = "fail")]
    Fail,
    /** One that this version does not know. */
    #[serde(other)]
    Other,
}

/// It matters only where changes are followed, and is not said of a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[non_exhaustive]
pub enum FindingOnly {
    /** `changes` */
    #[serde(rename = "changes")]
    Changes,
    /** One that this version does not know. */
    #[serde(other)]
    Other,
}

/// As the tool has it.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ApiStatusError {
    /// `code`.
    pub code: String,
    /// `message`.
    pub message: String,
    /// `hint`.
    pub hint: String,
}

/// `passed`: all that was asked for was compared, and is the same. `incomplete`: it was ended before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[non_exhaustive]
pub enum ApiVerifyReportStatus {
    /** `passed` */
    #[serde(rename = "passed")]
    Passed,
    /** `differences` */
    #[serde(rename = "differences")]
    Differences,
    /** `incomplete` */
    #[serde(rename = "incomplete")]
    Incomplete,
    /** One that this version does not know. */
    #[serde(other)]
    Other,
}

/// As the tool has it.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct SourceAnalysisEstimate {
    /// `leastMs`.
    pub least_ms: f64,
    /// `mostMs`.
    pub most_ms: f64,
}

/// As the tool has it.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct SourceSurveyKeys {
    /// `size`.
    pub size: f64,
}

/// How often each command (upper case) was called since the server started.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct SourceSurveyCommands {
    /// `size`.
    pub size: f64,
}

/// As the tool has it.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct KeySummaryEncodings {
    /// `name`.
    pub name: String,
    /// `keys`.
    pub keys: f64,
    /// `bytes`.
    pub bytes: f64,
}

/// As the tool has it.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct KeySummaryDatabases {
    /// `db`.
    pub db: f64,
    /// `keys`.
    pub keys: f64,
}

/// A word of the tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[non_exhaustive]
pub enum CompatibilityNoteLevel {
    /** `ok` */
    #[serde(rename = "ok")]
    Ok,
    /** `warn` */
    #[serde(rename = "warn")]
    Warn,
    /** One that this version does not know. */
    #[serde(other)]
    Other,
}

/// Values that no rule could change and that went on as they were (`--on-transform-error pass`).
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct StoredReportPassed {
    /// `count`.
    pub count: f64,
    /// `examples`.
    pub examples: Vec<String>,
}

/// As the tool has it.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct StoredReportNotCarried {
    /// `what`.
    pub what: String,
    /// `count`.
    pub count: f64,
    /// `examples`.
    pub examples: Vec<String>,
}

/// As the tool has it.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct StoredReportFailures {
    /// `db`.
    pub db: f64,
    /// `key`.
    pub key: String,
    /// `reason`.
    pub reason: String,
}

/// `partial`: from the source's backlog; `full`: everything was compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[non_exhaustive]
pub enum PassSync {
    /** `full` */
    #[serde(rename = "full")]
    Full,
    /** `partial` */
    #[serde(rename = "partial")]
    Partial,
    /** One that this version does not know. */
    #[serde(other)]
    Other,
}
