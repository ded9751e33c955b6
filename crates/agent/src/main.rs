//! `statestore-agent`: a subscriber as a process, for services in any language.
//!
//! It joins a cluster in the role of one of Impala's daemons or as itself, publishes entries,
//! files and folders, prints or mirrors topics and runs commands on change. Read `flags.rs` for
//! what can be asked, `roles.rs` for what each role is, `agent.rs` for how it fits together.
//!
//! Deliberately absent: the protocol; that is the library `statestore-subscriber`.

mod agent;
mod args;
mod file_name;
mod flags;
mod folder;
mod follow;
mod metrics;
mod mirror;
mod publish;
mod roles;
mod standing;
mod watch;

use statestore_daemon::app::{App, StartError, version};
use statestore_daemon::flags::{FlagTable, Flags, Program, Value, tables};
use statestore_daemon::metrics::{Group, with_system};
use statestore_daemon::process::{ServiceState, Shutdown, notify};
use statestore_daemon::web::pages::{BasePages, NoRpcs};
use statestore_daemon::web::{Document, Readiness, Server, Site, WebConfig, serve};
use std::sync::{Arc, OnceLock};

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
    // Standard output belongs to --follow, not to the log.
    let settle = |flags: &mut Flags| flags.settle("redirect_stdout_stderr", Value::Bool(false));
    let app = App::start(&program, settle).unwrap_or_else(|exit| exit.leave());
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => app.fail(&StartError::Failed(format!(
            "cannot start threads: {error}"
        ))),
    };
    match runtime.block_on(run(&app)) {
        Ok(reason) => end(&app, &reason),
        Err(error) => fail(&app, &error),
    }
}

/// Runs until the process is asked to end; the answer is why.
async fn run(app: &App) -> Result<String, StartError> {
    let settings = Settings::from_flags(&app.flags, &app.hostname).map_err(config)?;
    let shutdown = Shutdown::on_signals().map_err(|e| StartError::Failed(e.to_string()))?;
    let shared = Shared::default();
    let ready = Readiness::default();
    let _web = web(app, settings.role, &shared, &ready).await?;
    let max_message = match app.flags.i64("thrift_rpc_max_message_size") {
        size @ 1.. => size.unsigned_abs(),
        _ => 100 << 20, // Thrift's own default (flags.md section 6)
    };
    let starting = Agent::start(&settings, &app.hostname, max_message);
    let mut agent = tokio::select! {
        started = starting => started.map_err(config)?,
        reason = shutdown.wait() => return Ok(reason),
    };
    let _ = shared.set((agent.handle.clone(), agent.standing.clone()));
    tracing::info!(
        "Subscriber {} listens on {}",
        settings.subscriber_id,
        agent.handle.address()
    );
    let registered = {
        let (handle, ready) = (agent.handle.clone(), ready.clone());
        async move {
            if handle.registered().await.is_ok() {
                ready.set(true);
                notify(ServiceState::Ready);
                tracing::info!("statestore-agent is ready");
            }
            std::future::pending().await
        }
    };
    let outcome = tokio::select! {
        reason = shutdown.wait() => Ok(reason),
        error = agent.failure() => Err(config(error)),
        never = registered => never,
    };
    ready.set(false);
    agent.leave().await;
    outcome
}

async fn web(
    app: &App,
    role: Role,
    shared: &Shared,
    ready: &Readiness,
) -> Result<Option<Server>, StartError> {
    let Some(web) = WebConfig::from_flags(&app.flags)? else {
        return Ok(None);
    };
    let site = Site::new(NAME);
    let shared = Arc::clone(shared);
    BasePages {
        flags: app.flags.clone(),
        logging: app.logging.clone(),
        version: app.version.clone(),
        metrics: with_system(move || std::future::ready(figures(&shared, role))),
        rpcs: Arc::new(NoRpcs),
        front: Arc::new(move || Box::pin(std::future::ready(front(role)))),
        ready: ready.clone(),
    }
    .register(&site);
    let server = serve(&site, &web).await?;
    if let Some(address) = server.addresses().first() {
        tracing::info!("Web server listening on port {}", address.port());
    }
    Ok(Some(server))
}

fn figures(
    shared: &OnceLock<(statestore_subscriber::Handle, standing::Standing)>,
    role: Role,
) -> Group {
    match shared.get() {
        Some((handle, standing)) => metrics::group(handle, role, standing),
        None => Group::new(NAME),
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

/// Not [`App::end`], which says it on standard output too: that is for JSON lines only, and its
/// reader may stand still.
fn end(app: &App, reason: &str) -> ! {
    notify(ServiceState::Stopping);
    tracing::info!("{reason}");
    app.logging.flush();
    std::process::exit(0)
}

/// Tells the log and the terminal.
fn fail(app: &App, error: &StartError) -> ! {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr(), "ERROR: {error}");
    tracing::error!("{error}");
    app.logging.flush();
    std::process::exit(1)
}
