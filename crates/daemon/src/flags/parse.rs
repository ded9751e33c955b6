//! The walk over the command line (flags.md section 11).
//!
//! Words take effect from left to right and the last one wins; a flagfile takes effect where it
//! stands. Errors are collected and reported together, except a flagfile that cannot be read,
//! which ends the walk. `--help` and `--version` come before errors, as in gflags.

use std::collections::BTreeMap;
use std::io;

use super::{Effect, FlagDef, FlagTable, Flags, Value, flagfile, help, tables};

/// More flagfiles than any sane set-up has; stops files that include each other many times over.
const MAX_FLAGFILES: usize = 100;

/// A program and its flags.
#[derive(Debug)]
pub struct Program<'a> {
    /// Name without folder, e.g. `statestored`.
    pub name: &'a str,
    /// What `--help` prints behind the name.
    pub usage: &'a str,
    /// The text of `--version`, without the newline at its end.
    pub version: &'a str,
    /// Its own tables first: they win over shared tables with the same flag.
    pub tables: &'a [&'static FlagTable],
}

/// What to do after parsing.
#[derive(Debug)]
pub enum Outcome {
    /// Run with these flags.
    Run(Box<Flags>),
    /// Print both texts and leave.
    Exit {
        /// For standard output.
        stdout: String,
        /// For standard error.
        stderr: String,
        /// The process exit code.
        code: i32,
    },
}

impl Program<'_> {
    /// Parses `args` (without the program's own name). `env` answers for the environment, `read`
    /// for flagfiles.
    pub fn parse(
        &self,
        args: &[String],
        env: &dyn Fn(&str) -> Option<String>,
        read: &dyn Fn(&str) -> io::Result<String>,
    ) -> Outcome {
        let all: Vec<_> = self
            .tables
            .iter()
            .copied()
            .chain([&tables::GFLAGS])
            .collect();
        let flags = Flags::defaults(&all);
        let walk = Walk {
            program: self.name,
            env,
            read,
            flags,
            errors: BTreeMap::new(),
            unknown: BTreeMap::new(),
            open: Vec::new(),
            files: 0,
        };
        match walk.run(args) {
            Err(stderr) => Outcome::Exit {
                stdout: String::new(),
                stderr,
                code: 1,
            },
            Ok((flags, errors)) => {
                if let Some((stdout, code)) = help::requested(self, &all, &flags) {
                    return Outcome::Exit {
                        stdout,
                        stderr: String::new(),
                        code,
                    };
                }
                if errors.is_empty() {
                    return Outcome::Run(Box::new(flags));
                }
                Outcome::Exit {
                    stdout: String::new(),
                    stderr: errors,
                    code: 1,
                }
            }
        }
    }
}

struct Walk<'a> {
    program: &'a str,
    env: &'a dyn Fn(&str) -> Option<String>,
    read: &'a dyn Fn(&str) -> io::Result<String>,
    flags: Flags,
    errors: BTreeMap<String, String>,
    /// Apart from other errors because `--undefok`, wherever it stands, pardons them.
    unknown: BTreeMap<String, String>,
    /// Flagfiles being read, outermost first.
    open: Vec<String>,
    files: usize,
}

/// A word looked up among the flags.
enum Word {
    Flag(&'static FlagDef),
    /// `--no<flag>` of a bool.
    Negated(&'static FlagDef),
    /// `--no<flag>` of something else.
    NotBool(&'static FlagDef),
    Unknown,
}

impl Walk<'_> {
    /// The flags and the collected errors; `Err` when the walk could not go on.
    fn run(mut self, args: &[String]) -> Result<(Flags, String), String> {
        self.glog_environment();
        let mut words = args.iter();
        while let Some(word) = words.next() {
            let Some(flag) = word.strip_prefix('-').filter(|flag| !flag.is_empty()) else {
                self.flags.positional.push(word.clone());
                continue;
            };
            let flag = flag.strip_prefix('-').unwrap_or(flag);
            if flag.is_empty() {
                self.flags.positional.extend(words.by_ref().cloned());
                break;
            }
            let (name, value) = match flag.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (flag, None),
            };
            self.word(name, value, &mut words)?;
        }
        let undefok = self.flags.str("undefok").to_owned();
        for name in undefok.split(',') {
            self.unknown.remove(name);
            self.unknown.remove(&format!("no{name}"));
        }
        self.errors.append(&mut self.unknown);
        let text = self
            .errors
            .values()
            .map(|error| format!("{error}\n"))
            .collect();
        Ok((self.flags, text))
    }

    fn word(
        &mut self,
        name: &str,
        value: Option<&str>,
        rest: &mut std::slice::Iter<'_, String>,
    ) -> Result<(), String> {
        match self.look_up(name) {
            Word::Flag(def) if def.effect == Effect::Removed => {
                // Its type is forgotten: a following word that is no flag is taken as its value.
                if value.is_none() && rest.as_slice().first().is_some_and(|w| !w.starts_with('-')) {
                    rest.next();
                }
                self.note_removed(def);
                Ok(())
            }
            Word::Flag(def) => match (value, &def.default) {
                (Some(value), _) => self.assign(def, value),
                (None, Value::Bool(_)) => self.assign(def, "true"),
                (None, _) => match rest.next() {
                    Some(value) => self.assign(def, value),
                    None => {
                        let text = format!(
                            "ERROR: flag '--{name}' is missing its argument; \
                             flag description: {}",
                            def.help
                        );
                        self.errors.insert(def.name.to_owned(), text);
                        Ok(())
                    }
                },
            },
            Word::Negated(def) if def.effect == Effect::Removed => {
                self.note_removed(def);
                Ok(())
            }
            Word::Negated(def) => self.assign(def, "false"),
            Word::NotBool(def) => {
                let kind = def.default.type_name();
                let text =
                    format!("ERROR: boolean value ({name}) specified for {kind} command line flag");
                self.errors.insert(def.name.to_owned(), text);
                Ok(())
            }
            Word::Unknown => {
                let text = format!("ERROR: unknown command line flag '{name}'");
                self.unknown.insert(name.to_owned(), text);
                Ok(())
            }
        }
    }

    fn look_up(&self, name: &str) -> Word {
        let find = |name: &str| {
            self.flags
                .find(name)
                .or_else(|| self.flags.find(&name.replace('-', "_")))
        };
        if let Some(def) = find(name) {
            return Word::Flag(def);
        }
        match name.strip_prefix("no").and_then(find) {
            Some(def) if matches!(def.default, Value::Bool(_)) => Word::Negated(def),
            Some(def) if def.effect == Effect::Removed => Word::Negated(def),
            Some(def) => Word::NotBool(def),
            None => Word::Unknown,
        }
    }

    /// Sets a flag; the four flags that bring in others act at once.
    fn assign(&mut self, def: &'static FlagDef, text: &str) -> Result<(), String> {
        let Some(value) = def.default.parse_alike(text) else {
            let kind = def.default.type_name();
            let text = format!(
                "ERROR: illegal value '{text}' specified for {kind} flag '{}'",
                def.name
            );
            self.errors.insert(def.name.to_owned(), text);
            return Ok(());
        };
        if def.validator.is_some_and(|accepts| !accepts(&value)) {
            let text = format!(
                "ERROR: failed validation of new value '{text}' for flag '{}'",
                def.name
            );
            self.errors.insert(def.name.to_owned(), text);
            return Ok(());
        }
        self.flags.set(def, value);
        match def.name {
            "flagfile" => text
                .split(',')
                .filter(|p| !p.is_empty())
                .try_for_each(|p| self.file(p)),
            "fromenv" => self.environment(text, true),
            "tryfromenv" => self.environment(text, false),
            _ => Ok(()),
        }
    }

    fn file(&mut self, path: &str) -> Result<(), String> {
        self.files += 1;
        if self.open.iter().any(|open| open == path) {
            return Err(format!("ERROR: flagfile '{path}' includes itself\n"));
        }
        if self.files > MAX_FLAGFILES {
            return Err(format!(
                "ERROR: more than {MAX_FLAGFILES} flagfiles, at '{path}'\n"
            ));
        }
        let text = (self.read)(path).map_err(|error| format!("{path}: {}\n", os_text(&error)))?;
        self.open.push(path.to_owned());
        for (name, value) in flagfile::flags_for(&text, self.program) {
            match (self.look_up(name), value) {
                (Word::Flag(def) | Word::Negated(def), _) if def.effect == Effect::Removed => {
                    self.note_removed(def);
                }
                (Word::Flag(def), Some(value)) => self.assign(def, value)?,
                (Word::Flag(def), None) if matches!(def.default, Value::Bool(_)) => {
                    self.assign(def, "true")?;
                }
                (Word::Flag(def), None) => {
                    let note = format!("flag {} in {path} has no value: ignored", def.name);
                    self.flags.notes.push(note);
                }
                (Word::Negated(def), _) => self.assign(def, "false")?,
                // A flagfile is shared by programs with other flags: what is not ours is not wrong.
                (Word::NotBool(_) | Word::Unknown, _) => {}
            }
        }
        self.open.pop();
        Ok(())
    }

    fn environment(&mut self, names: &str, required: bool) -> Result<(), String> {
        for name in names.split(',').filter(|name| !name.is_empty()) {
            let Word::Flag(def) = self.look_up(name) else {
                let text = format!("ERROR: unknown command line flag '{name}'");
                self.unknown.insert(name.to_owned(), text);
                continue;
            };
            // Reading these from the environment could name themselves without end.
            if matches!(def.name, "fromenv" | "tryfromenv") {
                let text = format!("ERROR: infinite recursion on environment flag '{name}'");
                self.errors.insert(def.name.to_owned(), text);
                continue;
            }
            match (self.env)(&format!("FLAGS_{name}")) {
                Some(text) => self.assign(def, &text)?,
                None if required => {
                    let text = format!("ERROR: FLAGS_{name} not found in environment");
                    self.errors.insert(def.name.to_owned(), text);
                }
                None => {}
            }
        }
        Ok(())
    }

    /// `GLOG_<flag>` is a default, so that the command line still wins (flags.md section 9).
    fn glog_environment(&mut self) {
        for def in self.flags.definitions() {
            let Some(text) = def
                .glog
                .then(|| (self.env)(&format!("GLOG_{}", def.name)))
                .flatten()
            else {
                continue;
            };
            let value = def.default.parse_alike(&text);
            match value.filter(|value| def.validator.is_none_or(|accepts| accepts(value))) {
                Some(value) => self.flags.set_default(def, value),
                None => {
                    let kind = def.default.type_name();
                    let text = format!(
                        "ERROR: illegal value '{text}' specified for {kind} flag '{}' by GLOG_{} \
                         in the environment",
                        def.name, def.name
                    );
                    self.errors.insert(def.name.to_owned(), text);
                }
            }
        }
    }

    fn note_removed(&mut self, def: &FlagDef) {
        let note = format!("Ignoring removed flag {}", def.name);
        if !self.flags.notes.contains(&note) {
            self.flags.notes.push(note);
        }
    }
}

/// The operating system's words without Rust's `(os error 2)` behind them.
pub(crate) fn os_text(error: &io::Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error") {
        Some((words, _)) => words.to_owned(),
        None => text,
    }
}
