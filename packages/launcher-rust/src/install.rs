//! Brings the program, when that was asked for.

use crate::find::downloaded;
use std::env;
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// What people run from the web, too: it checks what it downloads.
const SCRIPT: &str = include_str!("install.sh");

/// Whether it is to be downloaded: by a variable, or by an answer at a terminal. Nothing is brought unasked.
pub fn asked() -> bool {
    match env::var("FERRITE_MIGRATE_DOWNLOAD").as_deref() {
        Ok("1" | "yes" | "true") => return true,
        Ok(text) if !text.is_empty() => return false,
        _ => {}
    }
    if env::var_os("CI").is_some() || !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        return false;
    }
    eprint!("ferrite-migrate is not installed. Download it now, about 49 MB? [y/N] ");
    let _ = std::io::stderr().flush();
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).is_ok() && matches!(answer.trim(), "y" | "Y" | "yes")
}

/// The executable of this version, checked; the error says what was wrong.
pub fn download() -> Result<PathBuf, String> {
    if cfg!(windows) {
        return Err(
            "it cannot be downloaded on Windows yet\n  Install it by npm: npm install -g ferrite-migrate".into()
        );
    }
    let target = downloaded().ok_or("there is no HOME to keep it in")?;
    let folder = target.parent().ok_or("there is no folder to keep it in")?;
    let mut child = Command::new("sh")
        .args(["-s", "--", "--version", env!("CARGO_PKG_VERSION"), "--dir"])
        .arg(folder)
        .stdin(Stdio::piped())
        // What the program prints goes to standard output alone.
        .stdout(Stdio::from(std::io::stderr()))
        .spawn()
        .map_err(|error| format!("sh could not be started: {error}"))?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(SCRIPT.as_bytes()).map_err(|error| format!("the installer did not listen: {error}"))?;
    }
    match child.wait() {
        Ok(status) if status.success() && target.is_file() => Ok(target),
        _ => Err("it could not be downloaded, see above".into()),
    }
}
