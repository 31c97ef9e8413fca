//! `ferrite-migrate` as cargo installs it: a launcher that finds the program and becomes it.

mod find;
mod install;

use find::Found;
use std::ffi::OsString;
use std::process::{Command, ExitCode};

/// As the program's own for wrong usage.
const USAGE: u8 = 2;

/// Says to a launcher that another one has started it: two of them on PATH would start each other for ever.
const STARTED: &str = "FERRITE_MIGRATE_LAUNCHED";

fn main() -> ExitCode {
    if std::env::var_os(STARTED).is_some() {
        return refused("a launcher was found in place of the program\n  Remove one of them from PATH, or let FERRITE_MIGRATE_BIN name the program.");
    }
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let found = match find::find() {
        Some(found) => found,
        None if install::asked() => match install::download() {
            Ok(program) => Found { program: program.into(), before: Vec::new() },
            Err(why) => return refused(&why),
        },
        None => match find::by_npm() {
            Some(found) => found,
            None => return refused(MISSING),
        },
    };
    become_it(Command::new(&found.program).args(&found.before).args(&arguments).env(STARTED, "1"))
}

const MISSING: &str = "the program is not installed
  Install it by npm (npm install -g ferrite-migrate, Node 22.13 or newer), or have it downloaded:
  FERRITE_MIGRATE_DOWNLOAD=1 ferrite-migrate --version. FERRITE_MIGRATE_BIN says where it is.";

fn refused(why: &str) -> ExitCode {
    eprintln!("Error FM_TOOL_MISSING: {why}");
    ExitCode::from(USAGE)
}

/// In place of this process, so that signals and exit codes are the program's own.
#[cfg(unix)]
fn become_it(command: &mut Command) -> ExitCode {
    use std::os::unix::process::CommandExt;
    let error = command.exec();
    refused(&format!("{} could not be started: {error}", command.get_program().to_string_lossy()))
}

#[cfg(not(unix))]
fn become_it(command: &mut Command) -> ExitCode {
    match command.status() {
        Ok(status) => ExitCode::from(u8::try_from(status.code().unwrap_or(1)).unwrap_or(1)),
        Err(error) => refused(&format!("{} could not be started: {error}", command.get_program().to_string_lossy())),
    }
}
