//! The result of parsing: every flag with its value.
//!
//! Deliberately not here: writing flags after start-up. The one exception is [`Flags::settle`],
//! with which a daemon records a default of its own, such as its web port.

use std::collections::BTreeMap;

use super::{Effect, FlagDef, FlagTable, Value};

/// Shown instead of the value of a sensitive flag.
const REDACTED: &str = "<redacted>";

/// All flags of a program and their values.
#[derive(Clone, Debug)]
pub struct Flags {
    entries: BTreeMap<&'static str, Entry>,
    pub(super) positional: Vec<String>,
    pub(super) notes: Vec<String>,
}

#[derive(Clone, Debug)]
struct Entry {
    def: &'static FlagDef,
    default: Value,
    current: Value,
    /// Every value of a repeated flag.
    given: Vec<String>,
    was_set: bool,
}

/// A flag as `/varz` shows it (observability.md, `/varz`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlagInfo {
    /// Its name.
    pub name: &'static str,
    /// `bool`, `int32`, ...
    pub type_name: &'static str,
    /// Its help text.
    pub description: &'static str,
    /// Its default as text.
    pub default: String,
    /// Its value as text.
    pub current: String,
    /// Not meant for operators.
    pub experimental: bool,
    /// The value differs from the default.
    pub changed: bool,
}

impl Flags {
    /// Every flag at its default. A name in two tables means the first: so a daemon can put its
    /// own version of a shared flag in front.
    pub(super) fn defaults(tables: &[&'static FlagTable]) -> Self {
        let mut entries = BTreeMap::new();
        for def in tables.iter().flat_map(|table| table.flags) {
            let (default, current) = (def.default.clone(), def.default.clone());
            entries.entry(def.name).or_insert(Entry {
                def,
                default,
                current,
                given: Vec::new(),
                was_set: false,
            });
        }
        Flags {
            entries,
            positional: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// The value of a bool flag. Panics when no table holds a bool flag of this name: that is a
    /// mistake in the program, not in its input. The same holds for the other accessors.
    pub fn bool(&self, name: &str) -> bool {
        match self.value(name) {
            Value::Bool(v) => *v,
            other => wrong_type(name, "bool", other),
        }
    }

    /// The value of an int32 flag.
    pub fn i32(&self, name: &str) -> i32 {
        match self.value(name) {
            Value::Int32(v) => *v,
            other => wrong_type(name, "int32", other),
        }
    }

    /// The value of a uint32 flag.
    pub fn u32(&self, name: &str) -> u32 {
        match self.value(name) {
            Value::Uint32(v) => *v,
            other => wrong_type(name, "uint32", other),
        }
    }

    /// The value of an int64 flag.
    pub fn i64(&self, name: &str) -> i64 {
        match self.value(name) {
            Value::Int64(v) => *v,
            other => wrong_type(name, "int64", other),
        }
    }

    /// The value of a double flag.
    pub fn f64(&self, name: &str) -> f64 {
        match self.value(name) {
            Value::Double(v) => *v,
            other => wrong_type(name, "double", other),
        }
    }

    /// The value of a string flag.
    pub fn str(&self, name: &str) -> &str {
        match self.value(name) {
            Value::Str(v) => v,
            other => wrong_type(name, "string", other),
        }
    }

    /// The values of a [repeated](super::FlagDef::repeated) flag, in the order they were given.
    ///
    /// # Panics
    /// As [`Flags::bool`].
    pub fn list(&self, name: &str) -> Vec<String> {
        let Value::Str(_) = self.value(name) else {
            wrong_type(name, "string", self.value(name))
        };
        self.entry(name).given.clone()
    }

    /// Whether the command line, a flagfile or the environment named this flag.
    pub fn was_set(&self, name: &str) -> bool {
        self.entry(name).was_set
    }

    /// Replaces the value of a flag that nobody set, leaving the default that `/varz` shows:
    /// statestored's `webserver_port` has default 25000 and value 25010. Panics on another type.
    pub fn settle(&mut self, name: &str, value: Value) {
        let Some(entry) = self.entries.get_mut(name) else {
            no_such_flag(name)
        };
        if value.type_name() != entry.default.type_name() {
            wrong_type(name, value.type_name(), &entry.default);
        }
        if !entry.was_set {
            entry.current = value;
        }
    }

    /// Words of the command line that are not flags; kept, not used.
    pub fn positional(&self) -> &[String] {
        &self.positional
    }

    /// Every flag by name, as `/varz` lists them.
    pub fn listing(&self) -> Vec<FlagInfo> {
        self.entries.values().map(Entry::info).collect()
    }

    /// `--name=value` of every flag whose value is not its default, for the start-up log.
    pub fn changed(&self) -> Vec<String> {
        let changed = self
            .entries
            .values()
            .map(Entry::info)
            .filter(|info| info.changed);
        changed
            .map(|info| format!("--{}={}", info.name, info.current))
            .collect()
    }

    /// What the operator should know about the flags: those without effect, those removed.
    pub fn warnings(&self) -> Vec<String> {
        let idle = self.entries.values().filter(|entry| {
            entry.def.effect == Effect::AcceptedWithoutEffect && entry.current != entry.default
        });
        let idle =
            idle.map(|entry| format!("flag {} is accepted but has no effect", entry.def.name));
        self.notes.iter().cloned().chain(idle).collect()
    }

    pub(super) fn find(&self, name: &str) -> Option<&'static FlagDef> {
        self.entries.get(name).map(|entry| entry.def)
    }

    pub(super) fn set(&mut self, def: &'static FlagDef, value: Value) {
        if let Some(entry) = self.entries.get_mut(def.name) {
            entry.current = match value {
                Value::Str(text) if def.repeated => {
                    entry.given.push(text.into_owned());
                    Value::Str(entry.given.join("\n").into())
                }
                value => value,
            };
            entry.was_set = true;
        }
    }

    pub(super) fn set_default(&mut self, def: &'static FlagDef, value: Value) {
        if let Some(entry) = self.entries.get_mut(def.name) {
            entry.current = value.clone();
            entry.default = value;
        }
    }

    pub(super) fn definitions(&self) -> Vec<&'static FlagDef> {
        self.entries.values().map(|entry| entry.def).collect()
    }

    pub(super) fn info(&self, name: &str) -> FlagInfo {
        self.entry(name).info()
    }

    fn value(&self, name: &str) -> &Value {
        &self.entry(name).current
    }

    fn entry(&self, name: &str) -> &Entry {
        self.entries.get(name).unwrap_or_else(|| no_such_flag(name))
    }
}

impl Entry {
    fn info(&self) -> FlagInfo {
        let shown = |value: &Value| match value {
            Value::Str(text) if self.def.sensitive && !text.is_empty() => REDACTED.to_owned(),
            value => value.to_string(),
        };
        FlagInfo {
            name: self.def.name,
            type_name: self.default.type_name(),
            description: self.def.help,
            default: shown(&self.default),
            current: shown(&self.current),
            experimental: self.def.hidden,
            changed: self.current != self.default,
        }
    }
}

#[expect(
    clippy::panic,
    reason = "a name missing from the tables is a bug of the program"
)]
fn no_such_flag(name: &str) -> ! {
    panic!("no flag table holds '{name}'")
}

#[expect(
    clippy::panic,
    reason = "a flag read as another type is a bug of the program"
)]
fn wrong_type(name: &str, wanted: &str, found: &Value) -> ! {
    panic!(
        "flag '{name}' is read as {wanted} but declared as {}",
        found.type_name()
    )
}
