//! From `tracing` events to lines: which are wanted, and what their text is.
//! Where lines go is `sinks.rs`, their first columns are `format.rs`; this knows no files.

use std::fmt::{Debug, Write};
use std::sync::atomic::{AtomicI32, Ordering};

use tracing::field::{Field, Visit};
use tracing::metadata::LevelFilter;
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer};

use super::Logging;
use super::format::Severity;
use crate::glob;

/// Which events are wanted.
#[derive(Debug)]
pub(super) struct Verbosity {
    level: AtomicI32,
    initial: i32,
    /// `--vmodule`, in order: the first pattern that matches decides.
    modules: Vec<(String, i32)>,
    min_severity: i32,
}

impl Verbosity {
    /// `Err` is the bad part of `vmodule`.
    pub(super) fn new(level: i32, vmodule: &str, min_severity: i32) -> Result<Self, String> {
        let mut modules = Vec::new();
        for part in vmodule.split(',').filter(|part| !part.is_empty()) {
            let parsed = part.split_once('=').and_then(|(pattern, level)| {
                Some((pattern.to_owned(), level.parse::<i32>().ok()?))
            });
            modules.push(parsed.ok_or_else(|| part.to_owned())?);
        }
        Ok(Verbosity {
            level: AtomicI32::new(level),
            initial: level,
            modules,
            min_severity,
        })
    }

    pub(super) fn level(&self) -> i32 {
        self.level.load(Ordering::Relaxed)
    }

    pub(super) fn initial(&self) -> i32 {
        self.initial
    }

    pub(super) fn set(&self, level: i32) {
        self.level.store(level, Ordering::Relaxed);
    }

    fn wants(&self, metadata: &Metadata<'_>) -> bool {
        let (severity, verbosity) = rank(*metadata.level());
        if (severity as i32) < self.min_severity {
            return false;
        }
        verbosity == 0 || verbosity <= self.level_of(metadata.file().unwrap_or_default())
    }

    /// The level of a source file: a pattern names its module, or with a slash its whole path.
    fn level_of(&self, file: &str) -> i32 {
        let path = file.strip_suffix(".rs").unwrap_or(file);
        let module = path.rsplit('/').next().unwrap_or(path);
        let by_module = self.modules.iter().find(|(pattern, _)| {
            glob::matches(pattern, if pattern.contains('/') { path } else { module })
        });
        by_module.map_or_else(|| self.level(), |(_, level)| *level)
    }

    fn max(&self) -> LevelFilter {
        let modules = self
            .modules
            .iter()
            .map(|(_, level)| *level)
            .max()
            .unwrap_or(0);
        match self.level().max(modules) {
            ..=0 => LevelFilter::INFO,
            1..=2 => LevelFilter::DEBUG,
            3.. => LevelFilter::TRACE,
        }
    }
}

/// Severity and verbosity of a `tracing` level.
fn rank(level: Level) -> (Severity, i32) {
    match level {
        Level::ERROR => (Severity::Error, 0),
        Level::WARN => (Severity::Warning, 0),
        Level::INFO => (Severity::Info, 0),
        Level::DEBUG => (Severity::Info, 1),
        Level::TRACE => (Severity::Info, 3),
    }
}

/// The `tracing` layer.
pub(super) struct Glog {
    logging: Logging,
}

impl Glog {
    pub(super) fn new(logging: Logging) -> Self {
        Glog { logging }
    }

    fn wants(&self, metadata: &Metadata<'_>) -> bool {
        self.logging.shared.verbosity.wants(metadata)
    }
}

impl<S: Subscriber> Layer<S> for Glog {
    // What a call site is told here is remembered until the verbosity changes, so that a disabled
    // debug! costs one load.
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.wants(metadata) {
            Interest::always()
        } else {
            Interest::never()
        }
    }

    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        self.wants(metadata)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.logging.shared.verbosity.max())
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        let mut text = Text::default();
        event.record(&mut text);
        let (severity, _) = rank(*metadata.level());
        let file = metadata.file().unwrap_or(metadata.target());
        let line = metadata.line().unwrap_or_default();
        text.message.push_str(&text.fields);
        self.logging.write(severity, file, line, &text.message);
    }
}

/// The message, then ` key=value` of each other field.
#[derive(Default)]
struct Text {
    message: String,
    fields: String,
}

impl Visit for Text {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.message.push_str(value);
        } else {
            let _ = write!(self.fields, " {}={value}", field.name());
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            let _ = write!(self.message, "{value:?}");
        } else {
            let _ = write!(self.fields, " {}={value:?}", field.name());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Verbosity;

    #[test]
    fn vmodule_names_modules_and_paths_and_the_first_match_decides() {
        let verbosity = Verbosity::new(1, "own*=3,*/web/html=2,own=0", 0).unwrap_or_else(|bad| {
            panic!("{bad}");
        });
        assert_eq!(verbosity.level_of("crates/statestored/src/owner.rs"), 3);
        assert_eq!(verbosity.level_of("crates/daemon/src/web/html.rs"), 2);
        assert_eq!(verbosity.level_of("crates/daemon/src/web.rs"), 1);
        for bad in ["own", "own=x", "a=1,b"] {
            assert!(Verbosity::new(0, bad, 0).is_err(), "{bad}");
        }
    }
}
