//! How a flag is declared: one `const` expression in a table.
//!
//! ```
//! use statestore_daemon::flags::{FlagDef, FlagTable};
//! const TABLE: FlagTable = FlagTable {
//!     file: "statestore.cc",
//!     flags: &[FlagDef::int32("state_store_port", 24000, "port of the service")],
//! };
//! ```

use std::borrow::Cow;

use super::Value;

/// Flags that `--help` prints under one heading, `Flags from <file>:`.
#[derive(Debug)]
pub struct FlagTable {
    /// The heading.
    pub file: &'static str,
    /// In the order in which help prints them.
    pub flags: &'static [FlagDef],
}

/// Whether setting a flag changes anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It does what its help says.
    Acts,
    /// It is accepted, so that a shared flagfile works; setting it causes a warning.
    AcceptedWithoutEffect,
    /// It was removed: any value is swallowed with the warning `Ignoring removed flag <name>`.
    Removed,
}

/// One flag.
#[derive(Debug)]
pub struct FlagDef {
    /// With underscores, without dashes in front.
    pub name: &'static str,
    /// Its type and the value it has when nobody sets it.
    pub default: Value,
    /// One sentence for help and `/varz`.
    pub help: &'static str,
    /// Not meant for operators: `/varz` shows it as experimental.
    pub hidden: bool,
    /// Its value must not be shown.
    pub sensitive: bool,
    /// May be given several times, each adding a value; see `Flags::list`.
    pub repeated: bool,
    /// `GLOG_<name>` in the environment replaces the default (flags.md section 9).
    pub glog: bool,
    /// What setting it does.
    pub effect: Effect,
    /// Refuses values that have the right type but make no sense.
    pub validator: Option<fn(&Value) -> bool>,
}

impl FlagDef {
    /// A bool flag.
    pub const fn bool(name: &'static str, default: bool, help: &'static str) -> Self {
        Self::new(name, Value::Bool(default), help)
    }

    /// An int32 flag.
    pub const fn int32(name: &'static str, default: i32, help: &'static str) -> Self {
        Self::new(name, Value::Int32(default), help)
    }

    /// A uint32 flag.
    pub const fn uint32(name: &'static str, default: u32, help: &'static str) -> Self {
        Self::new(name, Value::Uint32(default), help)
    }

    /// An int64 flag.
    pub const fn int64(name: &'static str, default: i64, help: &'static str) -> Self {
        Self::new(name, Value::Int64(default), help)
    }

    /// A double flag.
    pub const fn double(name: &'static str, default: f64, help: &'static str) -> Self {
        Self::new(name, Value::Double(default), help)
    }

    /// A string flag.
    pub const fn string(name: &'static str, default: &'static str, help: &'static str) -> Self {
        Self::new(name, Value::Str(Cow::Borrowed(default)), help)
    }

    /// A flag that once existed.
    pub const fn removed(name: &'static str) -> Self {
        let mut flag = Self::string(name, "", "Removed; accepted and ignored.");
        flag.effect = Effect::Removed;
        flag.hidden = true;
        flag
    }

    const fn new(name: &'static str, default: Value, help: &'static str) -> Self {
        Self {
            name,
            default,
            help,
            hidden: false,
            sensitive: false,
            repeated: false,
            glog: false,
            effect: Effect::Acts,
            validator: None,
        }
    }

    /// Marks the flag as not meant for operators.
    pub const fn hidden(mut self) -> Self {
        self.hidden = true;
        self
    }

    /// Marks the flag as accepted without effect.
    pub const fn accepted(mut self) -> Self {
        self.effect = Effect::AcceptedWithoutEffect;
        self
    }

    /// Hides the value from pages and logs.
    pub const fn sensitive(mut self) -> Self {
        self.sensitive = true;
        self
    }

    /// Lets every occurrence of a string flag add a value instead of replacing the last one.
    pub const fn repeated(mut self) -> Self {
        self.repeated = true;
        self
    }

    /// Lets `GLOG_<name>` set the default.
    pub const fn glog(mut self) -> Self {
        self.glog = true;
        self
    }

    /// Adds a check beyond the type; it must accept the default.
    pub const fn checked(mut self, validator: fn(&Value) -> bool) -> Self {
        self.validator = Some(validator);
        self
    }
}
