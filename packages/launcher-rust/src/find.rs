//! Where the program may be.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What is to be started.
pub struct Found {
    /// The file, or a name on PATH.
    pub program: OsString,
    /// Arguments that come before those of the user.
    pub before: Vec<OsString>,
}

impl Found {
    fn program(path: PathBuf) -> Self {
        Self { program: path.into_os_string(), before: Vec::new() }
    }
}

const NAME: &str = if cfg!(windows) { "ferrite-migrate.cmd" } else { "ferrite-migrate" };

/// The program, where it is installed already.
pub fn find() -> Option<Found> {
    if let Some(named) = set("FERRITE_MIGRATE_BIN") {
        // Wrong or not: whoever names one wants that one.
        return Some(by_name(PathBuf::from(named)));
    }
    on_path(NAME, &itself())
        .map(Found::program)
        .or_else(installed_by_npm)
        .or_else(|| downloaded().filter(|path| path.is_file()).map(Found::program))
}

/// A program of Node is started by the Node on PATH.
fn by_name(path: PathBuf) -> Found {
    if path.extension().is_some_and(|end| end == "js") {
        Found { program: "node".into(), before: vec![path.into_os_string()] }
    } else {
        Found::program(path)
    }
}

/// In a job, where nobody can be asked: npm brings the package of this version, if there is a Node that can run it.
pub fn by_npm() -> Option<Found> {
    if set("CI").is_none_or(|value| value != "true") || !has_node() {
        return None;
    }
    let npm = on_path(if cfg!(windows) { "npm.cmd" } else { "npm" }, &[])?;
    let package = concat!("ferrite-migrate@^", env!("CARGO_PKG_VERSION"));
    let before = ["exec", "--yes", "--package", package, "--", "ferrite-migrate"];
    Some(Found { program: npm.into_os_string(), before: before.iter().map(OsString::from).collect() })
}

/// Where what was downloaded is kept; none without a home.
pub fn downloaded() -> Option<PathBuf> {
    let data = set("XDG_DATA_HOME")
        .map(PathBuf::from)
        .or_else(|| set("HOME").map(|home| PathBuf::from(home).join(".local").join("share")))?;
    // Each version has its own: a newer launcher brings the program that it was made for.
    Some(data.join("ferrite-tools").join(env!("CARGO_PKG_VERSION")).join("ferrite-migrate"))
}

/// A variable that is set and not empty.
fn set(name: &str) -> Option<OsString> {
    env::var_os(name).filter(|value| !value.is_empty())
}

/// This launcher by each of its names: it must not find itself.
fn itself() -> Vec<PathBuf> {
    env::current_exe().and_then(|path| path.canonicalize()).into_iter().collect()
}

fn on_path(name: &str, without: &[PathBuf]) -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?)
        // A relative folder is whatever the current one makes of it.
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join(name))
        .find(|path| is_program(path) && path.canonicalize().is_ok_and(|real| !without.contains(&real)))
}

#[cfg(unix)]
fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_program(path: &Path) -> bool {
    path.is_file()
}

fn installed_by_npm() -> Option<Found> {
    let npm = on_path(if cfg!(windows) { "npm.cmd" } else { "npm" }, &[])?;
    let asked =
        Command::new(npm).args(["root", "--global"]).stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    let root = PathBuf::from(String::from_utf8(asked.stdout).ok()?.trim());
    let program = root.join("ferrite-migrate").join("bin").join("run.js");
    program.is_file().then(|| by_name(program))
}

/// Node 22.13 or newer.
fn has_node() -> bool {
    let Ok(asked) = Command::new("node").arg("--version").stdin(Stdio::null()).output() else { return false };
    new_enough(&String::from_utf8_lossy(&asked.stdout))
}

fn new_enough(version: &str) -> bool {
    let mut numbers = version.trim().trim_start_matches('v').split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= (22, 13)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_which_node_will_do() {
        for (version, expected) in [
            ("v22.13.0\n", true),
            ("v22.12.9", false),
            ("v24.0.0", true),
            ("v20.20.2", false),
            ("", false),
            ("x", false),
        ] {
            assert_eq!(new_enough(version), expected, "{version}");
        }
    }

    #[test]
    fn starts_a_script_by_node() {
        assert_eq!(by_name(PathBuf::from("/a/run.js")).program, "node");
        assert_eq!(by_name(PathBuf::from("/a/ferrite-migrate")).program, "/a/ferrite-migrate");
    }
}
