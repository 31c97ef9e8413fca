use crate::{Error, Program};
use serde_json::{json, Map, Value};
use std::fmt;

/// How much is carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Mode {
    /// Copy, then follow the source until a cutover.
    #[default]
    Live,
    /// Copy once.
    Snapshot,
    /// Copy what has changed, again and again.
    Incremental,
}

impl Mode {
    fn word(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Snapshot => "snapshot",
            Self::Incremental => "incremental",
        }
    }
}

/// What to migrate: what `migration.yaml` can say (docs/configuration.md), checked by the tool.
#[derive(Clone)]
pub struct Config {
    pub(crate) wire: Map<String, Value>,
    pub(crate) program: Program,
}

impl Config {
    /// Nothing yet; source and target have to come.
    #[must_use]
    pub fn builder() -> ConfigBuilder {
        ConfigBuilder::default()
    }
}

/// Makes a [`Config`].
#[derive(Clone, Default)]
pub struct ConfigBuilder {
    wire: Map<String, Value>,
    mode: Mode,
    include: Vec<String>,
    exclude: Vec<String>,
    filters: Map<String, Value>,
    options: Map<String, Value>,
    program: Program,
}

/// Without values: among them are passwords.
impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.wire.keys().collect();
        f.debug_struct("Config").field("given", &names).field("program", &self.program).finish()
    }
}

/// Without values, as for [`Config`].
impl fmt::Debug for ConfigBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.wire.keys().chain(self.options.keys()).collect();
        f.debug_struct("ConfigBuilder").field("given", &names).field("mode", &self.mode).finish_non_exhaustive()
    }
}

impl ConfigBuilder {
    /// Connection string, such as `redis://user:password@host:6379`; or the fields of `source:` as JSON.
    #[must_use]
    pub fn source(mut self, source: impl Into<Value>) -> Self {
        self.wire.insert("source".into(), source.into());
        self
    }

    /// As for the source.
    #[must_use]
    pub fn target(mut self, target: impl Into<Value>) -> Self {
        self.wire.insert("target".into(), target.into());
        self
    }

    /// [`Mode::Live`] unless told otherwise.
    #[must_use]
    pub fn mode(mut self, mode: Mode) -> Self {
        self.mode = mode;
        self
    }

    /// Connections to the target.
    #[must_use]
    pub fn parallel(self, connections: u32) -> Self {
        self.option("parallel_workers", connections)
    }

    /// Take keys of this pattern; may be said several times.
    #[must_use]
    pub fn include_pattern(mut self, pattern: impl Into<String>) -> Self {
        self.include.push(pattern.into());
        self
    }

    /// Leave out keys of this pattern; may be said several times.
    #[must_use]
    pub fn exclude_pattern(mut self, pattern: impl Into<String>) -> Self {
        self.exclude.push(pattern.into());
        self
    }

    /// Name of the migration; the tool makes one up otherwise.
    #[must_use]
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.wire.insert("id".into(), Value::String(id.into()));
        self
    }

    /// Another field of `options:`.
    #[must_use]
    pub fn option(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.options.insert(name.into(), value.into());
        self
    }

    /// Another field of `filters:`.
    #[must_use]
    pub fn filter(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.filters.insert(name.into(), value.into());
        self
    }

    /// Which program does it, and where it keeps its migrations.
    #[must_use]
    pub fn program(mut self, program: Program) -> Self {
        self.program = program;
        self
    }

    /// The configuration.
    ///
    /// # Errors
    /// `FM_CONFIG_INVALID` where source or target is missing.
    pub fn build(mut self) -> Result<Config, Error> {
        for name in ["source", "target"] {
            if !self.wire.contains_key(name) {
                return Err(Error::new(
                    "FM_CONFIG_INVALID",
                    format!("{name} is missing."),
                    "Say where to migrate from and to.",
                ));
            }
        }
        self.wire.insert("mode".into(), self.mode.word().into());
        for (name, patterns) in [("include", self.include), ("exclude", self.exclude)] {
            if !patterns.is_empty() {
                self.filters.insert(name.into(), json!(patterns));
            }
        }
        for (name, fields) in [("filters", self.filters), ("options", self.options)] {
            if !fields.is_empty() {
                self.wire.insert(name.into(), Value::Object(fields));
            }
        }
        Ok(Config { wire: self.wire, program: self.program })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_was_set_and_nothing_else() {
        let config = Config::builder()
            .source("redis://a")
            .target("ferrite://b")
            .parallel(8)
            .include_pattern("user:*")
            .exclude_pattern("temp:*")
            .build()
            .unwrap();
        assert_eq!(
            Value::Object(config.wire),
            json!({
                "source": "redis://a", "target": "ferrite://b", "mode": "live",
                "options": {"parallel_workers": 8},
                "filters": {"include": ["user:*"], "exclude": ["temp:*"]},
            })
        );
    }

    #[test]
    fn prints_no_password() {
        let builder = Config::builder().source("redis://:s3cret@a").target("ferrite://b").option("password", "s3cret");
        assert!(!format!("{builder:?}").contains("s3cret"));
        assert!(!format!("{:?}", builder.build().unwrap()).contains("s3cret"));
    }

    #[test]
    fn wants_both_ends() {
        let error = Config::builder().source("redis://a").build().unwrap_err();
        assert_eq!((error.code.as_str(), error.message.as_str()), ("FM_CONFIG_INVALID", "target is missing."));
    }
}
