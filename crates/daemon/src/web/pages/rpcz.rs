//! `/rpcz`, `/rpcz_reset`: how long the daemon's own methods take.
//! The figures are the daemon's ([`RpcStatistics`]); this page only lays them out.

use std::sync::Arc;

use futures::future::BoxFuture;
use serde_json::{Value as Json, json};

use super::{Document, document};
use crate::metrics::{HistogramSnapshot, Units, json::histogram_text};
use crate::web::Page;

/// The RPC servers of a daemon, which it counts itself.
pub trait RpcStatistics: Send + Sync {
    /// The figures now.
    fn servers(&self) -> BoxFuture<'static, Vec<RpcServer>>;

    /// Forgets them, for one server or all, one method or all.
    fn reset(&self, server: Option<String>, method: Option<String>) -> BoxFuture<'static, ()>;
}

/// A server.
#[derive(Clone, Debug, Default)]
pub struct RpcServer {
    /// E.g. `statestore`.
    pub name: String,
    /// The methods called so far.
    pub methods: Vec<RpcMethod>,
}

/// A method; times in microseconds.
#[derive(Clone, Debug, Default)]
pub struct RpcMethod {
    /// E.g. `StatestoreService.RegisterSubscriber`.
    pub name: String,
    /// From the end of the request to the end of the answer.
    pub call: HistogramSnapshot,
    /// Reading the request.
    pub read: HistogramSnapshot,
    /// Writing the answer.
    pub write: HistogramSnapshot,
    /// Calls being answered.
    pub in_flight: u64,
}

/// For a daemon without RPC servers.
#[derive(Clone, Copy, Debug)]
pub struct NoRpcs;

impl RpcStatistics for NoRpcs {
    fn servers(&self) -> BoxFuture<'static, Vec<RpcServer>> {
        Box::pin(async { Vec::new() })
    }

    fn reset(&self, _: Option<String>, _: Option<String>) -> BoxFuture<'static, ()> {
        Box::pin(async {})
    }
}

pub(super) fn pages(source: &Arc<dyn RpcStatistics>) -> [Page; 2] {
    let (show, reset) = (source.clone(), source.clone());
    [
        Page::document("/rpcz", move |_| {
            let servers = show.servers();
            async move { servers_document(&servers.await) }
        })
        .in_navbar(),
        Page::document("/rpcz_reset", move |mut request| {
            let source = reset.clone();
            async move {
                let (server, method) = (
                    request.query.remove("server"),
                    request.query.remove("method"),
                );
                source.reset(server, method).await;
                servers_document(&source.servers().await)
            }
        }),
    ]
}

fn servers_document(servers: &[RpcServer]) -> Document {
    let server = |server: &RpcServer| {
        let methods: Json = server
            .methods
            .iter()
            .map(|method| row(method, &server.name))
            .collect();
        json!({ "name": server.name, "methods": methods })
    };
    document([("servers", servers.iter().map(server).collect())])
}

fn row(method: &RpcMethod, server: &str) -> Json {
    let text = |histogram| histogram_text(histogram, Units::TimeUs);
    json!({
        "name": method.name,
        "summary": text(&method.call),
        "read": text(&method.read),
        "write": text(&method.write),
        "in_flight": method.in_flight,
        "server_name": server,
    })
}
