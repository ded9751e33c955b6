//! Start-up in the order every daemon needs: flags, log, banner. What follows is the daemon's.
//!
//! ```no_run
//! use statestore_daemon::app::{App, version};
//! use statestore_daemon::flags::{FlagTable, Program, tables};
//! const OWN: FlagTable = FlagTable { file: "example", flags: &[] };
//! let text = version("example", "0.1.0");
//! let program = Program {
//!     name: "example",
//!     usage: "does nothing",
//!     version: &text,
//!     tables: &[&OWN, &tables::HOST, &tables::WEB, &tables::SECURITY, &tables::LOGGING],
//! };
//! let app = App::start(&program, |_flags| {}).unwrap_or_else(|exit| exit.leave());
//! ```

use std::io::{self, Write};
use std::sync::Arc;

use crate::flags::{Flags, Outcome, Program};
use crate::logging::{LogConfig, Logging};
use crate::{process, procfs};

/// A daemon whose flags are read and whose log is open.
#[derive(Clone, Debug)]
pub struct App {
    /// Program name.
    pub name: String,
    /// Text of `--version`.
    pub version: String,
    /// Its flags.
    pub flags: Arc<Flags>,
    /// Its log.
    pub logging: Logging,
    /// Its name in the network.
    pub hostname: String,
}

/// A process that ends before it began: what to print and the exit code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exit {
    /// For standard output.
    pub stdout: String,
    /// For standard error.
    pub stderr: String,
    /// The code.
    pub code: i32,
}

/// Why a daemon cannot go on starting.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The operator's to mend: ERROR in the log, exit code 1.
    #[error("{0}")]
    Config(String),
    /// The surroundings', such as a port in use: FATAL in the log, abort.
    #[error("{0}")]
    Failed(String),
}

impl From<crate::web::WebError> for StartError {
    fn from(error: crate::web::WebError) -> Self {
        match error.is_config() {
            true => StartError::Config(error.to_string()),
            false => StartError::Failed(error.to_string()),
        }
    }
}

impl Exit {
    /// Prints and ends the process.
    pub fn leave(self) -> ! {
        let _ = io::stdout().write_all(self.stdout.as_bytes());
        let _ = io::stderr().write_all(self.stderr.as_bytes());
        std::process::exit(self.code)
    }
}

impl App {
    /// Reads this process' arguments and environment, opens the log, writes the banner.
    /// `settle` may set defaults of the daemon's own ([`Flags::settle`]).
    pub fn start(program: &Program<'_>, settle: impl FnOnce(&mut Flags)) -> Result<Self, Exit> {
        procfs::start_time();
        let args: Vec<String> = std::env::args_os()
            .skip(1)
            .map(|arg| arg.to_string_lossy().into_owned())
            .collect();
        let env = |name: &str| std::env::var(name).ok();
        let read = |path: &str| std::fs::read_to_string(path);
        let mut flags = match program.parse(&args, &env, &read) {
            Outcome::Run(flags) => *flags,
            Outcome::Exit {
                stdout,
                stderr,
                code,
            } => {
                return Err(Exit {
                    stdout,
                    stderr,
                    code,
                });
            }
        };
        settle(&mut flags);
        let refuse = |text: String| Exit {
            stdout: String::new(),
            stderr: text + "\n",
            code: 1,
        };
        let hostname = process::hostname(&flags).map_err(|error| {
            let name = flags.str("hostname");
            refuse(format!("Could not resolve hostname '{name}': {error}"))
        })?;
        let system_name = rustix::system::uname()
            .nodename()
            .to_string_lossy()
            .into_owned();
        let config = LogConfig::from_flags(&flags, program.name, &system_name);
        let logging = Logging::install(&config).map_err(|error| refuse(error.to_string()))?;
        let app = App {
            name: program.name.to_owned(),
            version: program.version.to_owned(),
            flags: Arc::new(flags),
            logging,
            hostname,
        };
        app.banner();
        if let Err(error) = process::watch_for_pauses(&app.flags) {
            tracing::warn!("no thread to watch for pauses: {error}");
        }
        Ok(app)
    }

    /// Ends a start that failed, as [`StartError`] says.
    pub fn fail(&self, error: &StartError) -> ! {
        match error {
            StartError::Config(text) => {
                tracing::error!("{text}");
                self.logging.flush();
                std::process::exit(1)
            }
            StartError::Failed(text) => self.logging.fatal(text),
        }
    }

    /// Ends a daemon that was asked to: `reason` of [`process::Shutdown::wait`].
    pub fn end(&self, reason: &str) -> ! {
        process::notify(process::ServiceState::Stopping);
        tracing::info!("{reason}");
        self.logging.flush();
        let mut stdout = io::stdout();
        let _ = writeln!(stdout, "{reason}").and_then(|()| stdout.flush());
        std::process::exit(0)
    }

    fn banner(&self) {
        self.version
            .lines()
            .for_each(|line| tracing::info!("{line}"));
        tracing::info!("Using hostname: {}", self.hostname);
        tracing::info!("Process ID: {}", std::process::id());
        let changed = self.flags.changed();
        tracing::info!("Flags that differ from their defaults: {}", changed.len());
        changed.iter().for_each(|flag| tracing::info!("{flag}"));
        for flag in ["logtostderr", "alsologtostderr"] {
            if self.flags.bool(flag) && self.flags.bool("redirect_stdout_stderr") {
                tracing::warn!("flag {flag} has no effect while redirect_stdout_stderr is true");
            }
        }
        self.flags
            .warnings()
            .iter()
            .for_each(|warning| tracing::warn!("{warning}"));
    }
}

/// The text of `--version` (flags.md section 11). The build's hash and time come from `build.rs`.
pub fn version(program: &str, version: &str) -> String {
    format!(
        "{}\nBuilt on {}",
        short_version(program, version),
        or_unknown(BUILD_TIME)
    )
}

/// Its first line, which is also metric `statestore.version`.
pub fn short_version(program: &str, version: &str) -> String {
    let build = if cfg!(debug_assertions) {
        "DEBUG"
    } else {
        "RELEASE"
    };
    format!(
        "{program} version {version} {build} (build {})",
        or_unknown(BUILD_HASH)
    )
}

const BUILD_HASH: Option<&str> = option_env!("STATESTORE_BUILD_HASH");
const BUILD_TIME: Option<&str> = option_env!("STATESTORE_BUILD_TIME");

fn or_unknown(text: Option<&'static str>) -> &'static str {
    text.unwrap_or("unknown")
}
