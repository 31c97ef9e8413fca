//! Drives [ferrite-migrate](https://github.com/ferrite-migrate/ferrite-migrate): live migrations of Redis, Valkey, Memcached and files
//! into Ferrite.
//!
//! The program does the work; this crate starts it (`FERRITE_MIGRATE_BIN`, else `ferrite-migrate` on `PATH`) and speaks its protocol.
//!
//! ```no_run
//! use ferrite_migrate::{Config, Migration, Mode};
//!
//! # async fn run() -> Result<(), ferrite_migrate::Error> {
//! let config = Config::builder()
//!     .source("redis://source:6379")
//!     .target("ferrite://target:6379")
//!     .mode(Mode::Live)
//!     .build()?;
//! let migration = Migration::new(config).await?;
//! migration.start().await?;
//! migration.wait(ferrite_migrate::Until::Complete, None).await?;
//! migration.cutover().await?;
//! assert!(migration.verify().await?.success);
//! # Ok(())
//! # }
//! ```

mod client;
mod config;
mod error;
mod migration;
mod program;
#[rustfmt::skip]
pub mod types;

pub use client::{Client, Notice};
pub use config::{Config, ConfigBuilder, Mode};
pub use error::{Error, ErrorKind};
pub use migration::{CutoverOptions, Migration, Until};
pub use program::Program;

/// The example of the README is compiled with the tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
