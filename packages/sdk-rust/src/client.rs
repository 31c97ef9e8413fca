use crate::{Error, Program};
use serde::de::DeserializeOwned;
use serde_json::{json, Value};
use std::collections::HashMap;
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin};
use tokio::sync::{mpsc, oneshot, watch};

/// The protocol that this crate speaks.
const VERSION: u32 = 1;
/// Bytes of an answer at most.
const MOST_LINE: usize = 256 << 20;

type Answer = Result<Value, Error>;

/// What the tool tells beside answers: `progress`, `phase`, `note` or `step` (docs/protocol.md).
#[derive(Debug, Clone, PartialEq)]
pub struct Notice {
    /// Its name.
    pub method: String,
    /// What it says.
    pub params: Value,
}

#[derive(Default)]
struct Waiting {
    answers: HashMap<u64, oneshot::Sender<Answer>>,
    listeners: Vec<mpsc::UnboundedSender<Notice>>,
    /// Why nothing comes any more.
    ended: Option<Error>,
}

/// Requests under way, and who wants to be told.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Waiting>>);

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // Nothing that holds it can panic half-way through a change.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes one line of the tool.
    fn take(&self, line: &[u8]) -> Result<(), Error> {
        let message: Value =
            serde_json::from_slice(line).map_err(|_| Error::protocol("the tool wrote a line that is no message."))?;
        if !message.is_object() {
            return Err(Error::protocol("the tool wrote a line that is no message."));
        }
        if let Some(method) = message["method"].as_str() {
            let notice = Notice { method: method.to_owned(), params: message["params"].clone() };
            self.lock().listeners.retain(|listener| listener.send(notice.clone()).is_ok());
            return Ok(());
        }
        let refusal = message.get("error").map(Error::refusal);
        let Some(number) = message["id"].as_u64() else {
            // The tool could not tell whose question it was: one that waits would wait for ever.
            return Err(refusal.unwrap_or_else(|| Error::protocol("the tool answered nobody.")));
        };
        let asked = self.lock().answers.remove(&number);
        if let Some(asked) = asked {
            let result = message.get("result").cloned().unwrap_or(Value::Null);
            // Whoever asked may have gone.
            let _ = asked.send(refusal.map_or(Ok(result), Err));
        }
        Ok(())
    }

    fn end(&self, why: &Error) {
        let mut waiting = self.lock();
        waiting.ended.get_or_insert_with(|| why.clone());
        waiting.listeners.clear();
        for (_, asked) in waiting.answers.drain() {
            let _ = asked.send(Err(why.clone()));
        }
    }
}

/// The tool, started and spoken to. Dropping it, or [`Client::close`], ends the tool; what was not detached stops gracefully then.
pub struct Client {
    shared: Shared,
    lines: Mutex<Option<mpsc::UnboundedSender<Vec<u8>>>>,
    last: AtomicU64,
    gone: watch::Receiver<bool>,
    process: Option<u32>,
}

impl Client {
    /// Starts the tool and agrees on the protocol.
    ///
    /// # Errors
    /// `FM_TOOL_MISSING`, `FM_TOOL_LOST`, `FM_PROTOCOL_VERSION`.
    pub async fn open(program: &Program) -> Result<Self, Error> {
        Self::open_as(program, VERSION).await
    }

    /// As [`Client::open`], for a client that speaks another version of the protocol than this crate.
    ///
    /// # Errors
    /// As for [`Client::open`].
    pub async fn open_as(program: &Program, protocol_version: u32) -> Result<Self, Error> {
        let mut command = program.rpc();
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        // Ctrl-C on the terminal is this program's to handle.
        #[cfg(unix)]
        command.process_group(0);
        let mut child = command.spawn().map_err(|why| Program::missing(&command, &why))?;
        let process = child.id();
        let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(Error::protocol("the tool has no input or output."));
        };
        let shared = Shared::default();
        let (lines, queue) = mpsc::unbounded_channel();
        let (leaving, gone) = watch::channel(false);
        tokio::spawn(write(stdin, queue));
        tokio::spawn(watch_tool(child, stdout, shared.clone(), leaving));
        let client = Self { shared, lines: Mutex::new(Some(lines)), last: AtomicU64::new(0), gone, process };
        let about = json!({"protocolVersion": protocol_version, "client": {"name": "ferrite_migrate (Rust)", "version": env!("CARGO_PKG_VERSION")}});
        client.call::<Value>("initialize", about).await?;
        Ok(client)
    }

    /// Asks for one method; `docs/protocol.md` has them.
    ///
    /// # Errors
    /// What the tool refuses; `FM_TOOL_LOST` when it is gone; `FM_PROTOCOL` when the answer has another form than `T`.
    pub async fn call<T: DeserializeOwned>(&self, method: &str, params: Value) -> Result<T, Error> {
        let number = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        let (answer, answered) = oneshot::channel();
        {
            let mut waiting = self.shared.lock();
            if let Some(why) = &waiting.ended {
                return Err(why.clone());
            }
            waiting.answers.insert(number, answer);
        }
        let _forget = Forget { shared: &self.shared, number };
        let mut line =
            json!({"jsonrpc": "2.0", "id": number, "method": method, "params": params}).to_string().into_bytes();
        line.push(b'\n');
        let sent = self.sender().is_some_and(|lines| lines.send(line).is_ok());
        if !sent {
            return Err(self.ended());
        }
        let value = answered.await.unwrap_or_else(|_| Err(self.ended()))?;
        serde_json::from_value(value)
            .map_err(|why| Error::protocol(format!("the answer to {method} cannot be read: {why}.")))
    }

    /// Notices of all migrations that were begun or attached to here, from now on, until the tool is gone.
    #[must_use]
    pub fn listen(&self) -> mpsc::UnboundedReceiver<Notice> {
        let (sender, receiver) = mpsc::unbounded_channel();
        let mut waiting = self.shared.lock();
        if waiting.ended.is_none() {
            waiting.listeners.push(sender);
        }
        receiver
    }

    /// The tool's process, as long as it was known at the start.
    #[must_use]
    pub fn process(&self) -> Option<u32> {
        self.process
    }

    /// Ends the tool, and waits until it is gone: what was not detached has written what it had read then.
    pub async fn close(&self) {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).take();
        let mut gone = self.gone.clone();
        // An error means that it went without saying so.
        let _ = gone.wait_for(|gone| *gone).await;
    }

    fn sender(&self) -> Option<mpsc::UnboundedSender<Vec<u8>>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn ended(&self) -> Error {
        self.shared.lock().ended.clone().unwrap_or_else(|| Error::lost("it was closed", false))
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("process", &self.process).finish_non_exhaustive()
    }
}

/// A request that nobody waits for any more.
struct Forget<'a> {
    shared: &'a Shared,
    number: u64,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        self.shared.lock().answers.remove(&self.number);
    }
}

/// Writes whole lines, whatever becomes of whoever asked, until nobody asks any more; then the input of the tool ends.
async fn write(mut stdin: ChildStdin, mut queue: mpsc::UnboundedReceiver<Vec<u8>>) {
    while let Some(line) = queue.recv().await {
        // That the tool is gone is told by its output.
        if stdin.write_all(&line).await.is_err() {
            return;
        }
    }
}

async fn watch_tool(mut child: Child, stdout: impl AsyncRead + Unpin, shared: Shared, leaving: watch::Sender<bool>) {
    let read = read(stdout, &shared).await;
    if let Err(why) = &read {
        // It is not understood: nothing more is asked of it, and it is not waited for.
        shared.end(why);
    }
    let how = child.wait().await;
    shared.end(&Error::lost(&ending(how), read == Ok(true)));
    // Nobody may be waiting.
    let _ = leaving.send(true);
}

fn ending(how: std::io::Result<ExitStatus>) -> String {
    how.map_or_else(|why| why.to_string(), |status| status.to_string())
}

/// Reads to the end; true when that was in the middle of a line.
async fn read(stdout: impl AsyncRead + Unpin, shared: &Shared) -> Result<bool, Error> {
    let mut stdout = BufReader::with_capacity(64 << 10, stdout);
    let mut line = Vec::new();
    loop {
        let chunk =
            stdout.fill_buf().await.map_err(|why| Error::protocol(format!("the tool cannot be read: {why}.")))?;
        if chunk.is_empty() {
            return Ok(!line.is_empty());
        }
        let end = chunk.iter().position(|byte| *byte == b'\n');
        let taken = end.map_or(chunk.len(), |at| at + 1);
        line.extend_from_slice(&chunk[..end.unwrap_or(taken)]);
        stdout.consume(taken);
        if line.len() > MOST_LINE {
            return Err(Error::protocol("the tool wrote a line without an end."));
        }
        if end.is_some() {
            if !line.trim_ascii().is_empty() {
                shared.take(&line)?;
            }
            line.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_goes_to_whoever_asked() {
        let shared = Shared::default();
        let (sender, mut receiver) = oneshot::channel();
        shared.lock().answers.insert(7, sender);
        shared.take(br#"{"jsonrpc":"2.0","id":8,"result":1}"#).unwrap();
        assert!(receiver.try_recv().is_err());
        shared.take(br#"{"jsonrpc":"2.0","id":7,"result":2}"#).unwrap();
        assert_eq!(receiver.try_recv().unwrap().unwrap(), json!(2));
    }

    #[test]
    fn what_is_no_message_is_no_protocol() {
        let shared = Shared::default();
        for line in ["Hello", "7", "[]", r#"{"id":null,"error":{"code":-32700,"message":"Parse error"}}"#] {
            assert_eq!(shared.take(line.as_bytes()).unwrap_err().code, "FM_PROTOCOL", "{line}");
        }
    }

    #[test]
    fn everyone_hears_of_the_end() {
        let shared = Shared::default();
        let (sender, mut receiver) = oneshot::channel();
        shared.lock().answers.insert(1, sender);
        shared.end(&Error::lost("exit status: 3", true));
        let error = receiver.try_recv().unwrap().unwrap_err();
        assert!(error.message.contains("in the middle of a message"));
    }
}
