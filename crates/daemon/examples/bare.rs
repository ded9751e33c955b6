//! The smallest daemon: flags, log, web server, and nothing to do until a signal comes.
//!
//! It shows the order of start-up, and `tests/process.rs` runs it to see how a daemon begins and
//! ends.

use std::sync::Arc;

use statestore_daemon::app::{App, StartError, version};
use statestore_daemon::flags::{FlagDef, FlagTable, Program, Value, tables};
use statestore_daemon::metrics::{self, Group};
use statestore_daemon::process::{self, ServiceState, Shutdown};
use statestore_daemon::web::pages::{BasePages, NoRpcs};
use statestore_daemon::web::{self, Document, Page, Readiness, Site, WebConfig};

static OWN: FlagTable = FlagTable {
    file: "examples/bare.rs",
    flags: &[FlagDef::string(
        "say",
        "",
        "Written to standard output and standard error.",
    )],
};

fn main() {
    let version = version("bare", env!("CARGO_PKG_VERSION"));
    let program = Program {
        name: "bare",
        usage: "does nothing until it is told to end",
        version: &version,
        tables: &[
            &OWN,
            &tables::HOST,
            &tables::WEB,
            &tables::SECURITY,
            &tables::LOGGING,
        ],
    };
    let app = App::start(&program, |flags| {
        flags.settle("webserver_port", Value::Int32(0))
    })
    .unwrap_or_else(|exit| exit.leave());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let served = runtime
        .map_err(|error| StartError::Failed(format!("No runtime: {error}")))
        .and_then(|runtime| runtime.block_on(serve(&app)));
    match served {
        Ok(reason) => app.end(&reason),
        Err(error) => app.fail(&error),
    }
}

async fn serve(app: &App) -> Result<String, StartError> {
    let signals = Shutdown::on_signals();
    let shutdown = signals.map_err(|error| StartError::Failed(format!("No signals: {error}")))?;
    let (site, ready) = (Site::new(&app.name), Readiness::default());
    BasePages {
        flags: app.flags.clone(),
        logging: app.logging.clone(),
        version: app.version.clone(),
        metrics: metrics::with_system(|| async { Group::new("bare") }),
        rpcs: Arc::new(NoRpcs),
        front: Arc::new(|| Box::pin(async { Document::new() })),
        ready: ready.clone(),
    }
    .register(&site);
    site.add(Page::document("/nothing", |_| async { Document::new() }).in_navbar());
    let server = match WebConfig::from_flags(&app.flags)? {
        Some(config) => Some(web::serve(&site, &config).await?),
        None => None,
    };
    ready.set(true);
    app.logging.flush();
    process::notify(ServiceState::Ready);
    say(app.flags.str("say"));
    let reason = shutdown.wait().await;
    drop(server);
    Ok(reason)
}

/// Straight to both streams, so that a test can see where they lead.
fn say(text: &str) {
    use std::io::Write;
    if !text.is_empty() {
        let _ = writeln!(std::io::stdout(), "{text} on stdout");
        let _ = writeln!(std::io::stderr(), "{text} on stderr");
    }
}
