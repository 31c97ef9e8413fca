use crate::types::{
    ApiStatus, ApiVerifyReport, CancelResult, CutoverAnswer, EventsResult, NumberedEvent, PlanResult, ReportResult,
    RollbackReport, RunState, StartResult,
};
use crate::{Client, Config, Error, Notice, Program};
use futures_util::stream::{self, BoxStream, StreamExt};
use serde::de::DeserializeOwned;
use serde_json::{json, Map, Value};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::timeout;

/// After this one that tells nothing is asked.
const QUIET: Duration = Duration::from_secs(5);

/// What [`Migration::wait`] waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// The run is over.
    End,
    /// Changes are followed.
    Live,
    /// The run is over, or everything was copied and the target follows so closely that a cutover may begin.
    Complete,
}

/// What a cutover can be told; what is `None` is as the tool has it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CutoverOptions {
    /// Keys or changes behind at most when it begins.
    pub max_lag: Option<u64>,
    /// How long it may take to get there.
    pub timeout: Option<Duration>,
    /// Compare both ends first.
    pub verify: Option<bool>,
    /// Differences end it.
    pub strict: Option<bool>,
    /// `auto`, `pause`, `acl` or `none`.
    pub fence: Option<String>,
    /// How long the fence stays up afterwards.
    pub hold: Option<Duration>,
    /// `warn` or `keep-fence`.
    pub after_cutover: Option<String>,
    /// Shell command that moves the traffic.
    pub hook: Option<String>,
    /// URL that is told, and moves the traffic.
    pub webhook: Option<String>,
    /// Look only.
    pub dry_run: Option<bool>,
}

impl CutoverOptions {
    fn params(&self) -> Map<String, Value> {
        let ms = |time: Option<Duration>| time.map(|time| json!(time.as_secs_f64() * 1000.0));
        [
            ("maxLag", self.max_lag.map(Value::from)),
            ("timeoutMs", ms(self.timeout)),
            ("verify", self.verify.map(Value::from)),
            ("strict", self.strict.map(Value::from)),
            ("fence", self.fence.clone().map(Value::from)),
            ("holdMs", ms(self.hold)),
            ("afterCutover", self.after_cutover.clone().map(Value::from)),
            ("hook", self.hook.clone().map(Value::from)),
            ("webhook", self.webhook.clone().map(Value::from)),
            ("dryRun", self.dry_run.map(Value::from)),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)))
        .collect()
    }
}

/// One migration: of a configuration, or one that is there already.
///
/// Dropping it, or [`Migration::close`], ends the tool; what was not detached stops gracefully, and can go on later.
#[derive(Debug)]
pub struct Migration {
    client: Client,
    config: Option<Map<String, Value>>,
    id: Mutex<Option<String>>,
}

impl Migration {
    /// Starts the tool for a migration that is still to begin.
    ///
    /// # Errors
    /// `FM_TOOL_MISSING`, `FM_TOOL_LOST`, `FM_PROTOCOL_VERSION`.
    pub async fn new(config: Config) -> Result<Self, Error> {
        let client = Client::open(&config.program).await?;
        Ok(Self { client, config: Some(config.wire), id: Mutex::new(None) })
    }

    /// Starts the tool for a migration that is there already: to see and drive it, or to go on with it by [`Migration::resume`].
    ///
    /// # Errors
    /// As for [`Migration::new`].
    pub async fn open(id: impl Into<String>, program: &Program) -> Result<Self, Error> {
        let client = Client::open(program).await?;
        Ok(Self { client, config: None, id: Mutex::new(Some(id.into())) })
    }

    /// The connection to the tool.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Its name.
    ///
    /// # Errors
    /// `FM_NOT_RUNNING` before it was started.
    pub fn id(&self) -> Result<String, Error> {
        self.id
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
            .ok_or_else(|| Error::new("FM_NOT_RUNNING", "the migration was not started yet.", "Call start first."))
    }

    /// What would be done, and whether a check refuses it; writes nothing.
    ///
    /// # Errors
    /// `FM_CONFIG_INVALID`, `FM_URL_*`, `FM_CONNECT_*`.
    pub async fn plan(&self) -> Result<PlanResult, Error> {
        self.client.call("migration.plan", json!({"config": self.to_start()?})).await
    }

    /// Starts it and gives its id, once it has passed its checks.
    ///
    /// # Errors
    /// What refused it.
    pub async fn start(&self) -> Result<String, Error> {
        self.begin(json!({"config": self.to_start()?, "detach": false})).await
    }

    /// As [`Migration::start`]; it goes on when this program ends.
    ///
    /// # Errors
    /// What refused it.
    pub async fn start_detached(&self) -> Result<String, Error> {
        self.begin(json!({"config": self.to_start()?, "detach": true})).await
    }

    /// Goes on with one that was interrupted. `ends` has `source` and `target` with passwords that are not stored.
    ///
    /// # Errors
    /// `FM_ID_UNKNOWN`, `FM_RESUME_*`, `FM_CONNECT_*`.
    pub async fn resume(&self, ends: Option<Value>) -> Result<String, Error> {
        let mut params = json!({"resume": self.id()?});
        if let Some(ends) = ends {
            params["config"] = ends;
        }
        self.begin(params).await
    }

    /// Where it stands.
    ///
    /// # Errors
    /// `FM_ID_UNKNOWN`, `FM_TOOL_LOST`.
    pub async fn status(&self) -> Result<ApiStatus, Error> {
        self.ask("migration.status", Map::new()).await
    }

    /// Keys or changes that the target is behind; [`u64::MAX`] while nobody knows.
    ///
    /// # Errors
    /// What a run failed with.
    pub async fn lag(&self) -> Result<u64, Error> {
        let status = self.status().await?;
        failure(&status)?;
        Ok(status.lag.map_or(u64::MAX, whole))
    }

    /// The run is over, or everything was copied and the target follows closely: a live one may be cut over.
    ///
    /// # Errors
    /// What a run failed with: nothing of it is complete.
    pub async fn is_complete(&self) -> Result<bool, Error> {
        let status = self.status().await?;
        failure(&status)?;
        Ok(status.complete)
    }

    /// Waits, at most for `limit`.
    ///
    /// # Errors
    /// `FM_WAIT_TIMEOUT` when it is not so in time, `FM_ID_UNKNOWN`, `FM_TOOL_LOST`.
    pub async fn wait(&self, until: Until, limit: Option<Duration>) -> Result<ApiStatus, Error> {
        let word = match until {
            Until::End => "end",
            Until::Live => "live",
            Until::Complete => "complete",
        };
        let mut params = fields(json!({"until": word}));
        if let Some(limit) = limit {
            params.insert("timeoutMs".into(), json!(limit.as_secs_f64() * 1000.0));
        }
        self.ask("migration.wait", params).await
    }

    /// Its status about once a second, until the run is over.
    pub fn progress(&self) -> BoxStream<'_, Result<ApiStatus, Error>> {
        stream::unfold(Watching::Begin, move |state| async move {
            let told = match state {
                Watching::Over => return None,
                Watching::Begin => {
                    let notices = self.client.listen();
                    self.ask("migration.attach", Map::new()).await.map(|status: ApiStatus| (status, notices))
                }
                Watching::Told(mut notices) => self.next_told(&mut notices).await.map(|status| (status, notices)),
            };
            Some(match told {
                Ok((status, notices)) => {
                    let next = if status.state == RunState::Running { Watching::Told(notices) } else { Watching::Over };
                    (Ok(status), next)
                }
                Err(why) => (Err(why), Watching::Over),
            })
        })
        .boxed()
    }

    /// Writes nothing to the target until [`Migration::unpause`]; the source is still followed.
    ///
    /// # Errors
    /// `FM_NOT_RUNNING`.
    pub async fn pause(&self) -> Result<ApiStatus, Error> {
        self.ask("migration.pause", Map::new()).await
    }

    /// Goes on after [`Migration::pause`].
    ///
    /// # Errors
    /// `FM_NOT_RUNNING`.
    pub async fn unpause(&self) -> Result<ApiStatus, Error> {
        self.ask("migration.resume", Map::new()).await
    }

    /// Switches over, as the tool does where nothing else is said.
    ///
    /// # Errors
    /// `FM_CUTOVER_*`, `FM_FENCE_*`, `FM_VERIFY_DIFFERENCES`, `FM_NOT_RUNNING`.
    pub async fn cutover(&self) -> Result<CutoverAnswer, Error> {
        self.cutover_with(&CutoverOptions::default()).await
    }

    /// Switches over.
    ///
    /// # Errors
    /// As for [`Migration::cutover`].
    pub async fn cutover_with(&self, options: &CutoverOptions) -> Result<CutoverAnswer, Error> {
        self.ask("migration.cutover", options.params()).await
    }

    /// Stops it gracefully, so that it can go on later; false when there was nothing to stop.
    ///
    /// # Errors
    /// `FM_NOT_RUNNING`.
    pub async fn cancel(&self) -> Result<bool, Error> {
        let result: CancelResult = self.ask("migration.cancel", Map::new()).await?;
        Ok(result.cancelled)
    }

    /// Compares both ends by value: exactly while it runs, as they are now when it is over.
    ///
    /// # Errors
    /// `FM_VERIFY_*`, `FM_RESUME_PASSWORD`, `FM_CONNECT_*`.
    pub async fn verify(&self) -> Result<ApiVerifyReport, Error> {
        self.ask("migration.verify", Map::new()).await
    }

    /// Puts the target back as it was before; with `dry_run` it says only what would be done.
    ///
    /// # Errors
    /// `FM_ROLLBACK_*`.
    pub async fn rollback(&self, force: bool, dry_run: bool) -> Result<RollbackReport, Error> {
        self.ask("migration.rollback", fields(json!({"force": force, "dryRun": dry_run}))).await
    }

    /// What is known of it: plan, what was not carried, failures, comparison, cutover.
    ///
    /// # Errors
    /// `FM_ID_UNKNOWN`.
    pub async fn report(&self) -> Result<ReportResult, Error> {
        self.ask("migration.report", Map::new()).await
    }

    /// The audit trail, from behind the event of that number.
    ///
    /// # Errors
    /// `FM_ID_UNKNOWN`.
    pub async fn events(&self, after: u64) -> Result<Vec<NumberedEvent>, Error> {
        let result: EventsResult = self.ask("migration.events", fields(json!({"after": after}))).await?;
        Ok(result.events)
    }

    /// It goes on when this program ends.
    ///
    /// # Errors
    /// `FM_ID_UNKNOWN`.
    pub async fn detach(&self) -> Result<ApiStatus, Error> {
        self.ask("migration.detach", Map::new()).await
    }

    /// Ends the tool, and waits until what was not detached has stopped.
    pub async fn close(self) {
        self.client.close().await;
    }

    fn to_start(&self) -> Result<&Map<String, Value>, Error> {
        self.config.as_ref().ok_or_else(|| {
            Error::new("FM_CONFIG_INVALID", "this migration was opened by its id.", "Go on with it by resume.")
        })
    }

    async fn begin(&self, params: Value) -> Result<String, Error> {
        let StartResult { id, .. } = self.client.call("migration.start", params).await?;
        *self.id.lock().unwrap_or_else(PoisonError::into_inner) = Some(id.clone());
        Ok(id)
    }

    async fn ask<T: DeserializeOwned>(&self, method: &str, mut params: Map<String, Value>) -> Result<T, Error> {
        params.insert("id".into(), self.id()?.into());
        self.client.call(method, Value::Object(params)).await
    }

    async fn next_told(&self, notices: &mut mpsc::UnboundedReceiver<Notice>) -> Result<ApiStatus, Error> {
        let id = self.id()?;
        // What was told while somebody else was at work may be over by now: how it stands is asked.
        let mut stale = false;
        while notices.try_recv().is_ok() {
            stale = true;
        }
        if stale {
            return self.status().await;
        }
        while let Ok(Some(Notice { method, params })) = timeout(QUIET, notices.recv()).await {
            if method == "progress" && params["id"] == id {
                return serde_json::from_value(params["status"].clone())
                    .map_err(|why| Error::protocol(format!("a status cannot be read: {why}.")));
            }
        }
        // One that was detached tells nothing any more, and how a tool ended that is gone is told by asking it.
        self.status().await
    }
}

enum Watching {
    Begin,
    Told(mpsc::UnboundedReceiver<Notice>),
    Over,
}

fn fields(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

fn failure(status: &ApiStatus) -> Result<(), Error> {
    match (status.state, &status.error) {
        (RunState::Failed, Some(error)) => Err(Error::new(&error.code, error.message.clone(), &error.hint)),
        _ => Ok(()),
    }
}

/// Counts are whole and not negative.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn whole(count: f64) -> u64 {
    count.max(0.0) as u64
}
