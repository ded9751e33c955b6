//! Taste as a test: what reviews would otherwise have to repeat.
//!
//! A [`Tree`] is the project's text files; a rule is a function from a tree to its
//! [`Violation`]s. `tests/tree.rs` runs each rule over the real tree; beside each rule are tests
//! on small bad trees, which show that it can fail. Rules read text and know no types: what the
//! compiler or clippy can say, they say (`[workspace.lints]`, `clippy.toml`).
//!
//! Not here: formatting (rustfmt), the length of functions (clippy), the dependency trees of the
//! pure crates (`./check`).

pub mod layout;
pub mod licences;
pub mod links;
pub mod rights;
pub mod text;

mod code;

use std::fmt;
use std::fs;
use std::io;
use std::path::Path;

/// One text file of the project.
#[derive(Debug)]
pub struct File {
    /// From the root of the project, with slashes.
    pub path: String,
    /// All of it.
    pub text: String,
    /// Of a Rust file: the text with comments and the inside of literals blanked.
    code: String,
    /// The line (from 0) where the tests of a Rust file begin; its length if there are none.
    tests_from: usize,
}

/// The text files of the project.
#[derive(Debug, Default)]
pub struct Tree {
    /// In order of their paths.
    pub files: Vec<File>,
}

/// Something that a rule does not want.
#[derive(Debug, PartialEq, Eq)]
pub struct Violation {
    /// The file.
    pub path: String,
    /// The line, from 1; 0 for the file as a whole.
    pub line: usize,
    /// What is wrong, and what to do instead.
    pub says: String,
}

/// What a rule is: every violation in a tree.
pub type Rule = fn(&Tree) -> Vec<Violation>;

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.path, self.says),
            line => write!(f, "{}:{line}: {}", self.path, self.says),
        }
    }
}

impl Tree {
    /// Reads the project under `root`; build results and version control are left out.
    pub fn load(root: &Path) -> io::Result<Self> {
        let mut tree = Self::default();
        tree.read(root, "")?;
        tree.files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(tree)
    }

    /// A tree of these paths and texts, for tests of rules.
    pub fn of(files: &[(&str, &str)]) -> Self {
        let files = files
            .iter()
            .map(|(path, text)| File::new(path, text))
            .collect();
        Self { files }
    }

    /// The Rust files.
    pub fn rust(&self) -> impl Iterator<Item = &File> {
        self.files.iter().filter(|file| file.is("rs"))
    }

    fn read(&mut self, folder: &Path, prefix: &str) -> io::Result<()> {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = format!("{prefix}{name}");
            if entry.file_type()?.is_dir() {
                if !matches!(name.as_str(), "target" | ".git" | "__pycache__" | ".venv") {
                    self.read(&entry.path(), &format!("{path}/"))?;
                }
            } else if (!name.contains('.') || is_text(&name))
                && let Ok(text) = String::from_utf8(fs::read(entry.path())?)
            {
                self.files.push(File::new(&path, &text));
            }
        }
        Ok(())
    }
}

impl File {
    fn new(path: &str, text: &str) -> Self {
        let code = if path.ends_with(".rs") {
            code::blanked(text)
        } else {
            String::new()
        };
        let lines: Vec<&str> = code.lines().map(str::trim).collect();
        let inline = |at: &usize| lines[*at] == "#[cfg(test)]" && opens_module(&lines[at + 1..]);
        let tests_from = if is_test(path) {
            0
        } else {
            (0..lines.len()).find(inline).unwrap_or(lines.len())
        };
        Self {
            path: path.into(),
            text: text.into(),
            tests_from,
            code,
        }
    }

    fn is(&self, extension: &str) -> bool {
        self.path
            .rsplit_once('.')
            .is_some_and(|(_, found)| found == extension)
    }

    /// Lines of code with their numbers, comments and literals blanked.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        self.code
            .lines()
            .enumerate()
            .map(|(at, line)| (at + 1, line))
    }

    /// As [`File::code`], without tests.
    fn shipped(&self) -> impl Iterator<Item = (usize, &str)> {
        self.code().take(self.tests_from)
    }

    fn violation(&self, line: usize, says: impl Into<String>) -> Violation {
        Violation {
            path: self.path.clone(),
            line,
            says: says.into(),
        }
    }
}

/// True if the name is one of a text that people write; those without a dot are scripts and such.
fn is_text(name: &str) -> bool {
    const KNOWN: [&str; 11] = [
        "rs", "py", "sh", "md", "toml", "txt", "thrift", "json", "jsonl", "html", "svg",
    ];
    name.rsplit_once('.')
        .is_some_and(|(_, extension)| KNOWN.contains(&extension))
}

/// Files that hold nothing but tests, or show something.
fn is_test(path: &str) -> bool {
    let folder = ["tests/", "examples/", "benches/"];
    folder
        .iter()
        .any(|name| path.starts_with(name) || path.contains(&format!("/{name}")))
        || path.ends_with("/tests.rs")
        || path.ends_with("_tests.rs")
}

/// After `#[cfg(test)]`: a module with its body here, not a file of its own.
fn opens_module(lines: &[&str]) -> bool {
    let first = lines.iter().find(|line| !line.starts_with("#["));
    first.is_some_and(|line| line.contains("mod ") && line.ends_with('{'))
}

/// The identifiers of a line of code.
fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(|c: char| !c.is_alphanumeric() && c != '_')
        .filter(|word| !word.is_empty())
}
