//! The process among others: signals, the service manager, its host's name, pauses.
//!
//! SIGPIPE is ignored by Rust's runtime already. No minidumps are written: SIGUSR1 is accepted
//! and logged, so that a script which sends it does not end the daemon.

use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::{Duration, Instant};

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::flags::Flags;

/// A wish to end, that everybody can wait for; clones share it.
#[derive(Clone, Debug)]
pub struct Shutdown {
    /// Why, once it is wished for.
    reason: watch::Sender<Option<String>>,
}

impl Shutdown {
    /// Nobody wishes to end yet.
    pub fn new() -> Self {
        Shutdown {
            reason: watch::Sender::new(None),
        }
    }

    /// Triggered by SIGTERM and SIGINT. Needs a tokio runtime, and that it keeps running.
    pub fn on_signals() -> io::Result<Self> {
        let shutdown = Self::new();
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut user1 = signal(SignalKind::user_defined1())?;
        let wish = shutdown.clone();
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    biased;
                    _ = terminate.recv() => break wish.trigger(&caught("SIGTERM")),
                    _ = interrupt.recv() => break wish.trigger(&caught("SIGINT")),
                    _ = user1.recv() => {
                        tracing::warn!("Caught signal: SIGUSR1. Minidumps are not supported");
                    }
                }
            }
        });
        Ok(shutdown)
    }

    /// Wishes to end; the first reason stays.
    pub fn trigger(&self, reason: &str) {
        self.reason.send_if_modified(|current| {
            let first = current.is_none();
            if first {
                *current = Some(reason.to_owned());
            }
            first
        });
    }

    /// Whether the wish was made.
    pub fn is_triggered(&self) -> bool {
        self.reason.borrow().is_some()
    }

    /// Waits for the wish; answers why.
    pub async fn wait(&self) -> String {
        let mut reason = self.reason.subscribe();
        // The only error is that the sender is gone, and self holds it.
        let reason = reason.wait_for(Option::is_some).await;
        reason
            .ok()
            .and_then(|reason| reason.clone())
            .unwrap_or_default()
    }
}

impl Default for Shutdown {
    fn default() -> Self {
        Self::new()
    }
}

/// The reference's words (flags.md section 9).
fn caught(signal: &str) -> String {
    format!("Caught signal: {signal}. Daemon will exit.")
}

/// What the service manager can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServiceState {
    /// The daemon serves.
    Ready,
    /// It ends.
    Stopping,
}

/// Tells the service manager, if there is one (`NOTIFY_SOCKET`). Failing to is only logged.
pub fn notify(state: ServiceState) {
    if let Some(socket) = std::env::var_os("NOTIFY_SOCKET")
        && let Err(error) = notify_at(&socket.to_string_lossy(), state)
    {
        tracing::warn!("could not notify the service manager: {error}");
    }
}

fn notify_at(socket: &str, state: ServiceState) -> io::Result<()> {
    let text = match state {
        ServiceState::Ready => "READY=1",
        ServiceState::Stopping => "STOPPING=1",
    };
    // A leading @ stands for the abstract namespace.
    let address = match socket.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(socket)?,
    };
    UnixDatagram::unbound()?
        .send_to_addr(text.as_bytes(), &address)
        .map(drop)
}

/// `--hostname`, or the system's; with `--use_resolved_hostname` its address instead.
pub fn hostname(flags: &Flags) -> io::Result<String> {
    let name = match flags.str("hostname") {
        "" => rustix::system::uname()
            .nodename()
            .to_string_lossy()
            .into_owned(),
        name => name.to_owned(),
    };
    if !flags.bool("use_resolved_hostname") {
        return Ok(name);
    }
    resolve(&name).map(|address| address.to_string())
}

/// The first IPv4 address that is not the loopback, in their own order; else the first of all.
pub fn resolve(name: &str) -> io::Result<IpAddr> {
    let mut addresses: Vec<IpAddr> = (name, 0).to_socket_addrs()?.map(|a| a.ip()).collect();
    addresses.sort_unstable();
    let outside = addresses
        .iter()
        .find(|address| address.is_ipv4() && !address.is_loopback());
    let found = outside.or(addresses.first()).copied();
    found.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "no address"))
}

/// Warns when the whole process stood still, which looks like failures elsewhere.
/// A threshold of 0 or less turns it off.
pub fn watch_for_pauses(flags: &Flags) -> io::Result<()> {
    let millis = |flag| u64::try_from(flags.i64(flag)).unwrap_or(0);
    let threshold = Duration::from_millis(millis("pause_monitor_warn_threshold_ms"));
    let nap = Duration::from_millis(millis("pause_monitor_sleep_time_ms").max(1));
    if threshold.is_zero() {
        return Ok(());
    }
    let monitor = move || {
        loop {
            let start = Instant::now();
            std::thread::sleep(nap);
            if let Some(pause) = pause(start.elapsed(), nap, threshold) {
                tracing::warn!(
                    "The process was paused for about {} ms (pause_monitor_warn_threshold_ms={})",
                    pause.as_millis(),
                    threshold.as_millis()
                );
            }
        }
    };
    std::thread::Builder::new()
        .name("pause-monitor".to_owned())
        .spawn(monitor)
        .map(drop)
}

fn pause(slept: Duration, nap: Duration, threshold: Duration) -> Option<Duration> {
    slept.checked_sub(nap).filter(|late| *late > threshold)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test]
    async fn everybody_who_waits_learns_the_first_reason() {
        let shutdown = Shutdown::new();
        let waiting = tokio::spawn({
            let shutdown = shutdown.clone();
            async move { shutdown.wait().await }
        });
        assert!(!shutdown.is_triggered());
        shutdown.trigger("one");
        shutdown.trigger("two");
        assert_eq!(waiting.await.unwrap(), "one");
        assert_eq!(shutdown.wait().await, "one");
    }

    #[test]
    fn the_service_manager_hears_at_a_path_and_in_the_abstract_namespace() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        notify_at(path.to_str().unwrap(), ServiceState::Ready).unwrap();
        let mut text = [0; 32];
        let length = socket.recv(&mut text).unwrap();
        assert_eq!(&text[..length], b"READY=1");
        let name = format!("statestore-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let socket = UnixDatagram::bind_addr(&address).unwrap();
        notify_at(&format!("@{name}"), ServiceState::Stopping).unwrap();
        let length = socket.recv(&mut text).unwrap();
        assert_eq!(&text[..length], b"STOPPING=1");
        assert!(notify_at("/no/such/socket", ServiceState::Ready).is_err());
    }

    #[test]
    fn only_what_exceeds_nap_and_threshold_is_a_pause() {
        let ms = Duration::from_millis;
        assert_eq!(pause(ms(600), ms(500), ms(100)), None);
        assert_eq!(pause(ms(601), ms(500), ms(100)), Some(ms(101)));
        assert_eq!(pause(ms(1), ms(500), ms(100)), None);
    }

    #[test]
    fn a_numeric_host_resolves_to_itself() {
        assert_eq!(resolve("127.0.0.1").unwrap().to_string(), "127.0.0.1");
    }
}
