//! `statestore-agent`: a subscriber as a process, for services in any language.
//!
//! It joins a cluster in the role of one of Impala's daemons or as itself, publishes entries,
//! files and folders, prints or mirrors topics and runs commands on change. Read `flags.rs` for
//! what can be asked, `roles.rs` for what each role is, `agent.rs` for how it fits together.
//!
//! Deliberately absent: the protocol; that is the library `statestore-subscriber`.

mod agent;
mod args;
mod command;
mod faults;
mod file_name;
mod flags;
mod folder;
mod follow;
mod metrics;
mod mirror;
mod output;
mod pages;
mod publish;
mod roles;
mod standing;
mod watch;

use statestore_daemon::app::{App, StartError, version};
use statestore_daemon::flags::{FlagTable, Program, tables};
use statestore_daemon::metrics::{Group, with_system};
use statestore_daemon::process::{ServiceState, Shutdown, notify};
use statestore_daemon::rpc_statistics::ServiceStatistics;
use statestore_daemon::web::pages::BasePages;
use statestore_daemon::web::{Document, Readiness, Server, Site, WebConfig, serve};
use std::sync::Arc;

use agent::{Agent, Shared};
use flags::Settings;
use roles::Role;

const NAME: &str = "statestore-agent";
const VERSION: &str = env!("CARGO_PKG_VERSION");

static TABLES: &[&FlagTable] = &[
    &flags::AGENT,
    &flags::SUBSCRIBER,
    &tables::HOST,
    &tables::WEB,
    &tables::SECURITY,
    &tables::LOGGING,
];

fn main() {
    let program = Program {
        name: NAME,
        usage: "A subscriber of a statestore as a process: publishes, follows and mirrors topics.",
        version: &version(NAME, VERSION),
        tables: TABLES,
    };
    let app = App::start(&program, flags::settle).unwrap_or_else(|exit| exit.leave());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let outcome = match &runtime {
        Ok(runtime) => runtime.block_on(run(&app)),
        Err(error) => Err(StartError::Failed(format!("cannot start threads: {error}"))),
    };
    match outcome {
        Ok(reason) => end(&app, &reason),
        Err(error) => fail(&app, &error),
    }
}

/// Runs until the process is asked to end; the answer is why.
async fn run(app: &App) -> Result<String, StartError> {
    let settings = Settings::from_flags(&app.flags, &app.hostname).map_err(config)?;
    for entry in &settings.debug.foreign {
        tracing::warn!("debug action {entry} is not for an agent: ignored");
    }
    let shutdown = Shutdown::on_signals().map_err(|e| StartError::Failed(e.to_string()))?;
    let surface = Surface::new(settings.role);
    let _web = surface.serve(app).await?;
    let starting = Agent::start(&settings, &app.hostname, surface.statistics.clone());
    let mut agent = tokio::select! {
        started = starting => started.map_err(config)?,
        reason = shutdown.wait() => return Ok(reason),
    };
    let _ = surface
        .shared
        .set((agent.handle.clone(), agent.standing.clone()));
    let registered = {
        let (handle, ready) = (agent.handle.clone(), surface.ready.clone());
        async move {
            if handle.registered().await.is_ok() {
                ready.set(true);
                tracing::info!("{NAME} is ready");
                // A disk that hangs must not keep heartbeats from being answered.
                let logging = app.logging.clone();
                let _ = tokio::task::spawn_blocking(move || logging.flush()).await;
                notify(ServiceState::Ready);
            }
            std::future::pending().await
        }
    };
    let outcome = tokio::select! {
        reason = shutdown.wait() => Ok(reason),
        error = agent.failure() => match error.is_nobody_reads() {
            true => Ok(error.to_string()),
            false => Err(config(error)),
        },
        never = registered => never,
    };
    surface.ready.set(false);
    agent.leave().await;
    outcome
}

/// What others see of the agent over HTTP.
struct Surface {
    role: Role,
    shared: Shared,
    statistics: ServiceStatistics,
    ready: Readiness,
}

impl Surface {
    fn new(role: Role) -> Self {
        Self {
            role,
            shared: Shared::default(),
            statistics: ServiceStatistics::new("statestore-subscriber", "StatestoreSubscriber"),
            ready: Readiness::default(),
        }
    }

    /// Serves pages; before the subscriber has started they say so.
    async fn serve(&self, app: &App) -> Result<Option<Server>, StartError> {
        let Some(web) = WebConfig::from_flags(&app.flags)? else {
            return Ok(None);
        };
        let site = Site::new(NAME);
        let (role, shared, statistics) = (self.role, self.shared.clone(), self.statistics.clone());
        let figures = move || {
            let mut root = match shared.get() {
                Some((handle, standing)) => metrics::group(handle, role, standing),
                None => Group::new(NAME),
            };
            root.metrics.extend(statistics.method_metrics());
            std::future::ready(root)
        };
        BasePages {
            flags: app.flags.clone(),
            logging: app.logging.clone(),
            version: app.version.clone(),
            metrics: with_system(figures),
            rpcs: Arc::new(self.statistics.clone()),
            front: Arc::new(move || Box::pin(std::future::ready(front(role)))),
            ready: self.ready.clone(),
        }
        .register(&site);
        site.add(pages::statestores(&self.shared));
        let server = serve(&site, &web).await?;
        if let Some(address) = server.addresses().first() {
            tracing::info!("Web server listening on port {}", address.port());
        }
        Ok(Some(server))
    }
}

fn front(role: Role) -> Document {
    let mut front = Document::new();
    front.insert("is_statestore".to_owned(), false.into());
    front.insert("is_catalog".to_owned(), (role == Role::Catalogd).into());
    front
}

fn config(error: impl std::fmt::Display) -> StartError {
    StartError::Config(error.to_string())
}

/// Not `App::end`, which prints the reason: standard output is `--follow`'s, and may be full.
fn end(app: &App, reason: &str) -> ! {
    notify(ServiceState::Stopping);
    tracing::info!("{reason}");
    app.logging.flush();
    std::process::exit(0)
}

/// Tells the log and the terminal; exit code 1 whatever it is.
fn fail(app: &App, error: &StartError) -> ! {
    tracing::error!("{error}");
    app.logging.flush();
    app.logging.tell_starter(&format!("ERROR: {error}"));
    std::process::exit(1)
}
