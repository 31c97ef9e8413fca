//! Tools that misbehave: a shell stands in for them.
#![cfg(unix)]
#![recursion_limit = "256"]
use ferrite_migrate::{Client, Error, ErrorKind, Migration, Program};
use serde_json::{json, Value};

const HELLO: &str = r#"read line; echo '{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":1}}'; read line; "#;

fn tool(then: &str) -> Program {
    Program::new().command(["sh", "-c", &format!("{HELLO}{then}")])
}

async fn asked(then: &str) -> Error {
    let client = Client::open(&tool(then)).await.unwrap();
    client.call::<Value>("migration.list", json!({})).await.unwrap_err()
}

#[tokio::test]
async fn half_a_line_is_a_lost_tool() {
    let error = asked(r#"printf '{"jsonrpc":"2.0","id":'; exit 3"#).await;
    assert_eq!(error.code, "FM_TOOL_LOST");
    assert!(error.message.contains("in the middle of a message"), "{error}");
    assert!(error.retryable);
}

#[tokio::test]
async fn noise_is_no_protocol() {
    assert_eq!(asked("echo Hello; sleep 60").await.kind(), ErrorKind::Protocol);
}

#[tokio::test]
async fn an_answer_of_another_form_is_told() {
    let program = tool(r#"echo '{"jsonrpc":"2.0","id":2,"result":7}'; read line"#);
    let migration = Migration::open("m", &program).await.unwrap();
    assert_eq!(migration.status().await.unwrap_err().kind(), ErrorKind::Protocol);
    migration.close().await;
}

#[tokio::test]
async fn says_what_to_install() {
    let error = Client::open(&Program::new().command(["/nowhere/ferrite-migrate"])).await.unwrap_err();
    assert_eq!(error.code, "FM_TOOL_MISSING");
    assert!(error.hint.contains("npm install"));
}

#[tokio::test]
async fn a_failed_run_is_not_complete() {
    let status = json!({
        "id": "m", "state": "FAILED", "phase": "FAILED", "source": "a", "target": "b", "mode": "live", "capture": "psync",
        "apply": "replay", "startedAt": 0, "updatedAt": 0, "keysDone": 0, "keysTotal": null, "keysFiltered": 0, "keysLeftOut": 0,
        "keysKept": 0, "valuesPassed": 0, "bytesDone": 0, "bytesTotal": null, "changesApplied": 0, "changesFiltered": 0,
        "changeBytes": 0, "keysWritten": 0, "keysSkipped": 0, "keysDeleted": 0, "keysFailed": 0, "rate": 0, "lagKeys": null,
        "lagBytes": null, "lagMs": null, "spoolBytes": 0, "inSync": false, "etaMs": null, "paused": false, "cutoverAt": null,
        "diverging": false, "progress": null, "lag": null, "complete": true, "newer": "field",
        "error": {"code": "FM_CONNECT_LOST", "message": "gone", "hint": "look"},
    });
    let answer = json!({"jsonrpc": "2.0", "id": 2, "result": status});
    let again = json!({"jsonrpc": "2.0", "id": 3, "result": status});
    let program = tool(&format!("echo '{answer}'; read line; echo '{again}'; read line"));
    let migration = Migration::open("m", &program).await.unwrap();
    assert_eq!(migration.lag().await.unwrap_err().kind(), ErrorKind::Connect);
    assert_eq!(migration.is_complete().await.unwrap_err().code, "FM_CONNECT_LOST");
}
