use serde_json::Value;

/// What went wrong: a code of ferrite-migrate (docs/errors.md lists them), what happened, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message} {hint}")]
#[non_exhaustive]
pub struct Error {
    /// Such as `FM_CONNECT_REFUSED`.
    pub code: String,
    /// What happened.
    pub message: String,
    /// What to do; empty where nothing is to be said.
    pub hint: String,
    /// Trying again may help.
    pub retryable: bool,
}

/// The kinds of errors, by their codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The configuration or an option of it is wrong.
    Config,
    /// A server cannot be reached, or refuses who asks.
    Connect,
    /// A check refused the migration before anything was written.
    Preflight,
    /// No process runs the migration that was asked for something.
    NotRunning,
    /// The cutover did not begin or was called off; the migration goes on.
    Cutover,
    /// The target cannot be put back.
    Rollback,
    /// The comparison is not possible, or it found differences where none were allowed.
    Verify,
    /// Another process runs the migration, or brings the same changes to the same target.
    Taken,
    /// What was waited for did not come in time; the migration goes on.
    WaitTimeout,
    /// There is no migration of that id.
    UnknownMigration,
    /// Tool and crate do not understand each other: they may be of different versions.
    Protocol,
    /// The tool was not found, or has ended.
    Tool,
    /// Anything else.
    Other,
}

/// The longest prefix that fits comes last.
const KINDS: [(&str, ErrorKind); 18] = [
    ("FM_CONFIG_", ErrorKind::Config),
    ("FM_OPTION_", ErrorKind::Config),
    ("FM_URL_", ErrorKind::Config),
    ("FM_CONNECT_", ErrorKind::Connect),
    ("FM_AUTH_", ErrorKind::Connect),
    ("FM_PREFLIGHT_", ErrorKind::Preflight),
    ("FM_NOT_RUNNING", ErrorKind::NotRunning),
    ("FM_CUTOVER_", ErrorKind::Cutover),
    ("FM_FENCE_", ErrorKind::Cutover),
    ("FM_ROLLBACK_", ErrorKind::Rollback),
    ("FM_VERIFY_", ErrorKind::Verify),
    ("FM_ID_TAKEN", ErrorKind::Taken),
    ("FM_RUN_TAKEN", ErrorKind::Taken),
    ("FM_TARGET_TAKEN", ErrorKind::Taken),
    ("FM_ID_UNKNOWN", ErrorKind::UnknownMigration),
    ("FM_WAIT_TIMEOUT", ErrorKind::WaitTimeout),
    ("FM_PROTOCOL", ErrorKind::Protocol),
    ("FM_TOOL_", ErrorKind::Tool),
];

impl Error {
    /// What kind of error it is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        KINDS.iter().find(|(prefix, _)| self.code.starts_with(prefix)).map_or(ErrorKind::Other, |(_, kind)| *kind)
    }

    pub(crate) fn new(code: &str, message: impl Into<String>, hint: &str) -> Self {
        Self { code: code.into(), message: message.into(), hint: hint.into(), retryable: false }
    }

    pub(crate) fn protocol(message: impl Into<String>) -> Self {
        Self::new("FM_PROTOCOL", message, "Tool and crate may be of different versions.")
    }

    pub(crate) fn lost(how: &str, half: bool) -> Self {
        let half = if half { ", in the middle of a message" } else { "" };
        Self {
            retryable: true,
            ..Self::new(
                "FM_TOOL_LOST",
                format!("ferrite-migrate is gone: it ended ({how}){half}."),
                "A migration that it ran can be gone on with by its id; start it again, and look why it ended.",
            )
        }
    }

    /// The `error` of an answer.
    pub(crate) fn refusal(error: &Value) -> Self {
        let text = |of: &Value, name: &str| of[name].as_str().unwrap_or_default().to_owned();
        let data = &error["data"];
        if data["code"].is_string() {
            return Self {
                code: text(data, "code"),
                message: text(data, "message"),
                hint: text(data, "hint"),
                retryable: data["retryable"] == true,
            };
        }
        Self::protocol(format!("the call was refused ({}): {}.", error["code"], text(error, "message")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn kinds_follow_codes() {
        let kind = |code: &str| Error::new(code, "x", "").kind();
        assert_eq!(kind("FM_CONNECT_REFUSED"), ErrorKind::Connect);
        assert_eq!(kind("FM_PROTOCOL_VERSION"), ErrorKind::Protocol);
        assert_eq!(kind("FM_SOMETHING_NEW"), ErrorKind::Other);
    }

    #[test]
    fn a_refusal_has_what_the_tool_said() {
        let data = json!({"code": "FM_ID_UNKNOWN", "message": "no", "hint": "list", "retryable": true});
        let error = Error::refusal(&json!({"code": -32000, "message": "no", "data": data}));
        assert_eq!(error.to_string(), "FM_ID_UNKNOWN: no list");
        assert!(error.retryable);
        let plain = Error::refusal(&json!({"code": -32601, "message": "Method not found"}));
        assert_eq!(plain.kind(), ErrorKind::Protocol);
        assert!(plain.message.contains("-32601"));
    }
}
