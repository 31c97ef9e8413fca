use crate::Error;
use std::env;
use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use tokio::process::Command;

/// Which program does the work, and where it keeps its migrations.
#[derive(Clone, Default)]
pub struct Program {
    command: Option<Vec<OsString>>,
    state_dir: Option<PathBuf>,
    queue: Option<OsString>,
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Program")
            .field("command", &self.command)
            .field("state_dir", &self.state_dir)
            // Its address may hold a password.
            .field("queue", &self.queue.as_ref().map(|_| "…"))
            .finish()
    }
}

impl Program {
    /// What `FERRITE_MIGRATE_BIN` names, else `ferrite-migrate` on `PATH`, with its own state directory.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Another program, with what comes before `rpc` on its command line.
    #[must_use]
    pub fn command<T: Into<OsString>>(mut self, command: impl IntoIterator<Item = T>) -> Self {
        self.command = Some(command.into_iter().map(Into::into).collect());
        self
    }

    /// Directory of the state database.
    #[must_use]
    pub fn state_dir(mut self, path: impl Into<PathBuf>) -> Self {
        self.state_dir = Some(path.into());
        self
    }

    /// Address of a queue: its workers run what is begun here, on as many machines as there are.
    #[must_use]
    pub fn queue(mut self, address: impl Into<OsString>) -> Self {
        self.queue = Some(address.into());
        self
    }

    pub(crate) fn rpc(&self) -> Command {
        let given = self.command.clone().filter(|command| !command.is_empty()).unwrap_or_else(|| {
            vec![env::var_os("FERRITE_MIGRATE_BIN")
                .filter(|name| !name.is_empty())
                .unwrap_or_else(|| "ferrite-migrate".into())]
        });
        let mut command = Command::new(&given[0]);
        command.args(&given[1..]).arg("rpc");
        if let Some(path) = &self.state_dir {
            command.arg("--state-dir").arg(path);
        }
        // It may hold a password, and everybody sees command lines.
        if let Some(address) = &self.queue {
            command.env("FERRITE_MIGRATE_QUEUE", address);
        }
        command
    }

    pub(crate) fn missing(command: &Command, why: &std::io::Error) -> Error {
        Error::new(
            "FM_TOOL_MISSING",
            format!("{} cannot be started: {why}.", command.as_std().get_program().to_string_lossy()),
            "Install it (npm install -g ferrite-migrate), or say where it is with FERRITE_MIGRATE_BIN.",
        )
    }
}
