//! The process around a statestored: flags, log, web server, signals, memory.
//!
//! Start order: flags, log, web server (503 on `/healthz`), StatestoreService, ready. Deliberately
//! absent: everything that a test would want to run in its own process; that is the library.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use statestore_daemon::app::{App, StartError, short_version, version};
use statestore_daemon::flags::{Flags, Program, Value};
use statestore_daemon::metrics::with_system;
use statestore_daemon::process::{ServiceState, Shutdown, notify};
use statestore_daemon::rpc_statistics::ServiceStatistics;
use statestore_daemon::web::pages::BasePages;
use statestore_daemon::web::{Readiness, Server, Site, WebConfig, serve};
use statestore_rpc::{Budget, PoolLimits, TcpNet};
use statestored::clock::SystemClock;
use statestored::fanout::FanoutLimits;
use statestored::flags::{Config, LOG_MAINTENANCE_STDERR, tables};
use statestored::room::Room;
use statestored::views::{Views, views};
use statestored::{HA_SERVER, SERVER, World};
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::{Builder, LocalOptions, Runtime};

#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const NAME: &str = "statestored";
const VERSION: &str = env!("CARGO_PKG_VERSION");
const WEB_PORT: i32 = 25_010;

fn main() {
    let program = Program {
        name: NAME,
        usage: "The statestore: who is here, and what everybody should know.",
        version: &version(NAME, VERSION),
        tables: tables::ALL,
    };
    let settle = |flags: &mut Flags| flags.settle("webserver_port", Value::Int32(WEB_PORT));
    let app = App::start(&program, settle).unwrap_or_else(|exit| exit.leave());
    match run(&app) {
        Ok(reason) => app.end(&reason),
        Err(error) => fail(&app, &error),
    }
}

/// Runs until the process is asked to end; the answer is why.
fn run(app: &App) -> Result<String, StartError> {
    let background = background()?;
    let ended = serve_until_asked(app, &background);
    // A name that the system is looking up must not hold up the end.
    background.shutdown_background();
    ended
}

fn serve_until_asked(app: &App, background: &Runtime) -> Result<String, StartError> {
    let mut dice = StdRng::from_os_rng();
    let config = Config::from_flags(&app.flags, &app.hostname, dice.random())
        .map_err(|error| StartError::Config(error.to_string()))?;
    for entry in &config.debug.foreign {
        tracing::warn!("debug action {entry} is not for a statestored: ignored");
    }
    config
        .notes
        .iter()
        .for_each(|note| tracing::warn!("{note}"));
    let room = Room::of(raise_file_limit());
    let most = config.core.max_subscribers;
    for line in room.lines(most) {
        match room.is_short_of(most) {
            true => tracing::warn!("{line}"),
            false => tracing::info!("{line}"),
        }
    }
    let _entered = background.enter();
    let shutdown = Shutdown::on_signals().map_err(|error| failed("signals", &error))?;
    if config.debug.concern(LOG_MAINTENANCE_STDERR) {
        background.spawn(make_noise());
    }
    let (views, questions) = views();
    let statistics = ServiceStatistics::new(SERVER.0, SERVER.1);
    let ha_statistics = ServiceStatistics::new(HA_SERVER.0, HA_SERVER.1);
    let mut servers = vec![statistics.clone()];
    if config.core.ha.is_some() {
        servers.push(ha_statistics.clone());
    }
    let ready = Readiness::default();
    let _web = background.block_on(web(app, &config, &views, &servers, &ready))?;

    let world = World {
        net: TcpNet,
        clock: Arc::new(SystemClock),
        dice,
        bulk: background.handle().clone(),
        limits: fanout_limits(&config, room),
        statistics,
        ha_statistics,
    };
    let started = |address: std::net::SocketAddr| {
        let port = address.port();
        tracing::info!("StatestoreService listening on port {port} without TLS");
        ready.set(true);
        tracing::info!("statestored is ready");
        // A disk that hangs must not hold heartbeats up.
        let logging = app.logging.clone();
        background.spawn_blocking(move || {
            logging.started();
            notify(ServiceState::Ready);
        });
    };
    let control = Builder::new_current_thread()
        .enable_all()
        // Its tasks have long turns, and what has arrived meanwhile is not to wait for many.
        .event_interval(1)
        .build_local(LocalOptions::default())
        .map_err(|error| failed("the control thread", &error))?;
    let ended = async {
        shutdown.wait().await;
    };
    let result = control.block_on(statestored::run(config, world, questions, started, ended));
    ready.set(false);
    let ended = result
        .map(|()| control.block_on(shutdown.wait()))
        .map_err(|error| StartError::Failed(error.to_string()));
    control.shutdown_background();
    ended
}

/// How much the threads for pages and large messages give way to the control thread, where all
/// cores are busy: its turns are short, and it needs them at once.
const GIVE_WAY: i32 = 10;

/// Threads for pages and for large messages; never for a heartbeat.
fn background() -> Result<Runtime, StartError> {
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    Builder::new_multi_thread()
        .worker_threads(cores.max(2))
        .thread_name("bulk")
        .on_thread_start(|| {
            use rustix::process::{getpriority_process, setpriority_process};
            // Of one thread, on Linux. Where it is not allowed, it only was a help.
            let nice = getpriority_process(None).unwrap_or_default();
            let _ = setpriority_process(None, nice.saturating_add(GIVE_WAY));
            statestore_rpc::give_way();
        })
        .enable_all()
        .build()
        .map_err(|error| failed("worker threads", &error))
}

async fn web(
    app: &App,
    config: &Config,
    views: &Views,
    servers: &[ServiceStatistics],
    ready: &Readiness,
) -> Result<Option<Server>, StartError> {
    let Some(web) = WebConfig::from_flags(&app.flags)? else {
        return Ok(None);
    };
    let site = Site::new(NAME);
    let metrics = {
        let (views, servers) = (views.clone(), servers.to_vec());
        let version = short_version(NAME, VERSION);
        with_system(move || {
            statestored::metrics::group(views.clone(), servers.clone(), version.clone())
        })
    };
    let front = views.clone();
    BasePages {
        flags: app.flags.clone(),
        logging: app.logging.clone(),
        version: app.version.clone(),
        metrics,
        rpcs: Arc::new(servers.to_vec()),
        front: Arc::new(move || Box::pin(statestored::pages::front(front.clone()))),
        ready: ready.clone(),
    }
    .register(&site);
    statestored::pages::register(&site, views, &config.core);
    let server = serve(&site, &web).await?;
    if let Some(address) = server.addresses().first() {
        tracing::info!("Web server listening on port {}", address.port());
    }
    Ok(Some(server))
}

/// Most of the files for connections, or those that idle for longest would be closed just before
/// they are used again. The fan-out takes another twelfth for large messages, and calls under way
/// are not limited. Half of the memory may hold replies under way.
fn fanout_limits(config: &Config, room: Room) -> FanoutLimits {
    let system = rustix::system::sysinfo();
    let memory = (system.totalram as u64).saturating_mul(system.mem_unit.into());
    FanoutLimits {
        max_reply: config.max_reply,
        pool: PoolLimits {
            max_open: room.connections(),
            budget: Budget::new((memory / 2).max(512 << 20)),
            ..PoolLimits::default()
        },
    }
}

/// As many open files as the system lets us have; the answer is how many.
fn raise_file_limit() -> u64 {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let wanted = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    match setrlimit(Resource::Nofile, wanted) {
        Ok(()) => limit.maximum.unwrap_or(u64::MAX),
        Err(error) => {
            tracing::warn!("the limit of open files could not be raised: {error}");
            limit.current.unwrap_or(u64::MAX)
        }
    }
}

/// For tests of the log's rotation: writes to standard error each second.
async fn make_noise() {
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    loop {
        ticks.tick().await;
        let _ = writeln!(
            std::io::stderr(),
            "{LOG_MAINTENANCE_STDERR}: noise for the log"
        );
    }
}

fn failed(what: &str, error: &std::io::Error) -> StartError {
    StartError::Failed(format!("{what} could not be started: {error}"))
}

/// Tells the log, and the terminal too if standard error has gone into the log. Always exit
/// code 1: the reference aborts where a port is in use, but a core file helps nobody there.
fn fail(app: &App, error: &StartError) -> ! {
    tracing::error!("{error}. {NAME} exiting.");
    app.logging.flush();
    app.logging.tell_starter(&format!("ERROR: {error}"));
    std::process::exit(1)
}
