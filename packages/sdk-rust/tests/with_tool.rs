//! Against the real tool and real servers: `FERRITE_MIGRATE_BIN`, `SOURCE_URL`, `TARGET_URL` and `STATE_DIR` name them.
use ferrite_migrate::types::RunState;
use ferrite_migrate::{Client, Config, CutoverOptions, ErrorKind, Migration, Mode, Program, Until};
use futures_util::StreamExt;
use serde_json::{json, Value};
use std::env;
use std::process::Command;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

/// `None` where no servers are named.
fn servers() -> Option<(String, String, String)> {
    Some((env::var("SOURCE_URL").ok()?, env::var("TARGET_URL").ok()?, env::var("STATE_DIR").ok()?))
}

#[tokio::test]
async fn begins_pauses_stops_goes_on_and_cuts_over() {
    let Some((source, target, state)) = servers() else { return };
    let program = Program::new().state_dir(state);
    let config = Config::builder()
        .source(source)
        .target(target)
        .option("on_conflict", "replace")
        .program(program.clone())
        .build()
        .unwrap();
    let migration = Migration::new(config).await.unwrap();
    assert_eq!(migration.id().unwrap_err().kind(), ErrorKind::NotRunning);
    assert!(!migration.plan().await.unwrap().refused);
    let id = migration.start().await.unwrap();
    let limit = Some(Duration::from_secs(60));
    assert!(migration.wait(Until::Complete, limit).await.unwrap().complete);
    assert!(migration.pause().await.unwrap().paused);
    assert!(!migration.unpause().await.unwrap().paused);
    let mut states = Vec::new();
    let mut progress = migration.progress();
    while let Some(status) = progress.next().await {
        states.push(status.unwrap().state);
        if states.len() == 2 {
            assert!(migration.cancel().await.unwrap());
        }
    }
    drop(progress);
    assert_eq!(states.last(), Some(&RunState::Interrupted));
    assert_eq!(migration.cutover().await.unwrap_err().kind(), ErrorKind::NotRunning);
    migration.close().await;
    let again = Migration::open(id, &program).await.unwrap();
    again.resume(None).await.unwrap();
    again.wait(Until::Complete, limit).await.unwrap();
    let options = CutoverOptions { max_lag: Some(1000), timeout: limit, ..CutoverOptions::default() };
    assert!(again.cutover_with(&options).await.unwrap().downtime_ms.is_some());
    assert_eq!(again.wait(Until::End, limit).await.unwrap().state, RunState::Completed);
    assert!(again.verify().await.unwrap().success);
    assert!(again.events(0).await.unwrap().iter().any(|event| event.text == "COMPLETED"));
    assert!(again.report().await.unwrap().report.is_some());
    again.close().await;
}

#[tokio::test]
async fn goes_on_detached() {
    let Some((source, target, state)) = servers() else { return };
    let program = Program::new().state_dir(state);
    let config =
        Config::builder().source(source).target(target).mode(Mode::Live).program(program.clone()).build().unwrap();
    let migration = Migration::new(config).await.unwrap();
    let id = migration.start_detached().await.unwrap();
    migration.close().await;
    let again = Migration::open(id, &program).await.unwrap();
    assert_eq!(again.wait(Until::Live, Some(Duration::from_secs(60))).await.unwrap().state, RunState::Running);
    assert!(again.cancel().await.unwrap());
    again.wait(Until::End, Some(Duration::from_secs(60))).await.unwrap();
}

#[tokio::test]
async fn has_an_error_for_each_mistake() {
    let Some((_, target, state)) = servers() else { return };
    let program = Program::new().state_dir(state);
    let client = Client::open(&program).await.unwrap();
    let kind = |method: &'static str, params: Value| {
        let asked = client.call::<Value>(method, params);
        async move { asked.await.unwrap_err().kind() }
    };
    assert_eq!(kind("migration.fly", json!({})).await, ErrorKind::Protocol);
    assert_eq!(kind("migration.status", json!({"id": "none"})).await, ErrorKind::UnknownMigration);
    let away = json!({"config": {"source": "redis://127.0.0.1:1", "target": target}});
    assert_eq!(kind("migration.start", away).await, ErrorKind::Connect);
    let newer = Client::open_as(&program, 99).await.unwrap_err();
    assert_eq!(newer.code, "FM_PROTOCOL_VERSION");
    let process = client.process().unwrap().to_string();
    assert!(Command::new("kill").args(["-9", &process]).status().unwrap().success());
    let lost = client.call::<Value>("migration.list", json!({})).await.unwrap_err();
    assert_eq!(lost.code, "FM_TOOL_LOST");
}

/// At least the fields of `wanted`; `"*"` stands for anything.
fn matches(wanted: &Value, given: &Value) -> bool {
    match (wanted, given) {
        (Value::String(any), given) if any == "*" => !given.is_null(),
        (Value::Object(wanted), given) => wanted.iter().all(|(name, value)| matches(value, &given[name])),
        (Value::Array(wanted), Value::Array(given)) => {
            wanted.len() == given.len() && wanted.iter().zip(given).all(|(wanted, given)| matches(wanted, given))
        }
        _ => wanted == given,
    }
}

#[tokio::test]
async fn replays_the_transcripts() {
    let Some((_, _, state)) = servers() else { return };
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../api/transcripts/basics.json")).unwrap();
    let whole: Value = serde_json::from_str(&text).unwrap();
    for (number, transcript) in whole["transcripts"].as_array().unwrap().iter().enumerate() {
        let mut tool = tokio::process::Command::new(env::var_os("FERRITE_MIGRATE_BIN").unwrap())
            .args(["rpc", "--state-dir", &format!("{state}/transcript-{number}")])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = tool.stdin.take().unwrap();
        let mut lines = BufReader::new(tool.stdout.take().unwrap()).lines();
        for step in transcript["steps"].as_array().unwrap() {
            input.write_all(format!("{}\n", step["send"].as_str().unwrap()).as_bytes()).await.unwrap();
            let line = lines.next_line().await.unwrap().unwrap();
            assert!(matches(&step["expect"], &serde_json::from_str(&line).unwrap()), "{}: {line}", transcript["name"]);
        }
        drop(input);
        assert!(tool.wait().await.unwrap().success());
    }
}
