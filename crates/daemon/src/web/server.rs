//! Listening and connections, with a limit on everything a client could use up: connections,
//! bytes of a request's head, time to send it, time to take the answer, pages built at once.
//!
//! Invariant: while one connection idles, a new one is served (`place.rs` says which one goes).

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use hyper::Request;
use hyper::body::Incoming;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use statestore_rpc::Places;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::place::{Awaited, Place};
use super::respond::Responder;
use super::{Site, WebConfig, WebError};

/// Open connections per server; for a further one the one that idles for longest goes.
const MAX_CONNECTIONS: usize = 512;
/// Bytes of a request's head, 431 beyond.
const MAX_HEAD: usize = 64 * 1024;
/// For a request's head, waiting for the next request of a connection included.
const HEAD_TIMEOUT: Duration = Duration::from_secs(60);
/// A peer that takes nothing of the answer for this long is cut off by the system.
const STALL_TIMEOUT_MS: u32 = 60_000;
/// For what is on its way to a peer whose place another one needs.
const LAST_BYTES_TIMEOUT: Duration = Duration::from_secs(1);
/// After an accept that failed for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Running servers; dropping this stops them.
#[derive(Debug)]
pub struct Server {
    addresses: Vec<SocketAddr>,
    metrics_addresses: Vec<SocketAddr>,
    _tasks: JoinSet<()>,
}

impl Server {
    /// Where pages are served, with the port that was chosen.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Where the second server listens, if there is one.
    pub fn metrics_addresses(&self) -> &[SocketAddr] {
        &self.metrics_addresses
    }
}

/// Binds and serves on the current tokio runtime. With an error nothing is left running.
pub async fn serve(site: &Site, config: &WebConfig) -> Result<Server, WebError> {
    let listeners = bind(&config.interface, config.port, "webserver_port").await?;
    let mut metrics_listeners = Vec::new();
    if let Some((interface, port)) = &config.metrics {
        metrics_listeners = bind(interface, *port, "metrics_webserver_port").await?;
    }
    let addresses = |listeners: &[TcpListener]| {
        listeners
            .iter()
            .filter_map(|listener| listener.local_addr().ok())
            .collect::<Vec<_>>()
    };
    let (addresses, metrics_addresses) = (addresses(&listeners), addresses(&metrics_listeners));
    let mut tasks = JoinSet::new();
    for address in &addresses {
        tracing::info!("Webserver started on {address} without TLS");
    }
    for address in &metrics_addresses {
        tracing::info!("Metrics webserver started on {address} without TLS");
    }
    spawn(&mut tasks, listeners, Responder::new(site.clone(), config));
    let paths = [
        "/metrics",
        "/jsonmetrics",
        "/metrics_prometheus",
        "/healthz",
    ];
    spawn(
        &mut tasks,
        metrics_listeners,
        Responder::new(site.only(&paths), config),
    );
    Ok(Server {
        addresses,
        metrics_addresses,
        _tasks: tasks,
    })
}

fn spawn(tasks: &mut JoinSet<()>, listeners: Vec<TcpListener>, responder: Responder) {
    let router = Router::new().fallback(|State(responder): State<Responder>, request| async move {
        responder.answer(request).await
    });
    let router = router.with_state(responder);
    if !listeners.is_empty() {
        tasks.spawn(accept(listeners, router));
    }
}

/// All addresses of the interface; a port the system chose for the first serves for all.
async fn bind(
    interface: &str,
    port: u16,
    flag: &'static str,
) -> Result<Vec<TcpListener>, WebError> {
    let addresses: Vec<SocketAddr> = match interface {
        "" => vec![(Ipv4Addr::UNSPECIFIED, port).into()],
        // Linux hands IPv4 connections to this socket as well.
        "::" => vec![(Ipv6Addr::UNSPECIFIED, port).into()],
        name => {
            let bare = name.trim_start_matches('[').trim_end_matches(']');
            let found = tokio::net::lookup_host((bare, port)).await;
            let found = found.and_then(|found| {
                let mut found: Vec<_> = found.collect();
                found.sort_unstable();
                found.dedup();
                let none = || io::Error::new(io::ErrorKind::NotFound, "no address");
                if found.is_empty() {
                    Err(none())
                } else {
                    Ok(found)
                }
            });
            let interface = || name.to_owned();
            found.map_err(|source| WebError::Interface {
                interface: interface(),
                source,
            })?
        }
    };
    let mut listeners: Vec<TcpListener> = Vec::new();
    for mut address in addresses {
        if let Some(first) = listeners.first().and_then(|first| first.local_addr().ok()) {
            address.set_port(first.port());
        }
        let bound = TcpListener::bind(address).await;
        let address = || address.to_string();
        listeners.push(bound.map_err(|source| WebError::Bind {
            flag,
            address: address(),
            source,
        })?);
    }
    Ok(listeners)
}

async fn accept(listeners: Vec<TcpListener>, router: Router) {
    let mut places = Places::new(MAX_CONNECTIONS, " of the web server");
    // Connections end with the server.
    let mut connections = JoinSet::new();
    loop {
        let open = connections.len();
        let has_place = places.have_room(open);
        tokio::select! {
            biased;
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            () = places.changed(), if !has_place => {}
            accepted = accept_any(&listeners), if has_place => match accepted {
                Ok(stream) => {
                    places.take(open);
                    let place = Place::new(places.idle());
                    connections.spawn(connection(stream, router.clone(), place));
                }
                Err(error) => {
                    tracing::warn!("Webserver could not accept a connection: {error}");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
}

async fn accept_any(listeners: &[TcpListener]) -> io::Result<TcpStream> {
    std::future::poll_fn(|cx| {
        let mut accepts = listeners.iter().map(|listener| listener.poll_accept(cx));
        let accepted = accepts.find(Poll::is_ready).unwrap_or(Poll::Pending);
        accepted.map_ok(|(stream, _)| stream)
    })
    .await
}

async fn connection(stream: TcpStream, router: Router, place: Arc<Place>) {
    let _ = stream.set_nodelay(true);
    let _ = rustix::net::sockopt::set_tcp_user_timeout(&stream, STALL_TIMEOUT_MS);
    let pages = TowerToHyperService::new(router);
    let answers = service_fn(|request: Request<Incoming>| {
        let answer = pages.call(request.map(|body| Awaited::new(body, &place)));
        let place = &place;
        async move {
            let answer = answer.await;
            place.end();
            answer
        }
    });
    let mut served = pin!(
        hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .max_buf_size(MAX_HEAD)
            .serve_connection(TokioIo::new(stream), answers)
    );
    let ended = tokio::select! {
        ended = served.as_mut() => ended,
        () = place.needed() => {
            if !place.was_used() {
                return;
            }
            served.as_mut().graceful_shutdown();
            // It idles, but may not have taken all of its last answer.
            let ending = tokio::time::timeout(LAST_BYTES_TIMEOUT, served);
            ending.await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = ended {
        tracing::debug!("web connection ended: {error}");
    }
}
