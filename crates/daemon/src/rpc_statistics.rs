//! What an RPC server has done, for metrics and `/rpcz`.
//!
//! The server reports here (it is an [`Observer`]); pages take snapshots. Deliberately absent:
//! what is served, and connections to others, which pools count.

use futures::future::{BoxFuture, FutureExt, join_all};
use statestore_rpc::{CallTimes, Observer};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::metrics::{Histogram, Metric, Units};
use crate::web::pages::{RpcMethod, RpcServer, RpcStatistics};

/// Counts connections and calls. Clones share the counts.
#[derive(Debug, Clone)]
pub struct ServiceStatistics {
    server: &'static str,
    service: &'static str,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    open: u64,
    accepted: u64,
    /// By name; a method appears with its first call.
    methods: BTreeMap<&'static str, Method>,
    setup: Histogram,
    wait: Histogram,
}

#[derive(Debug, Default)]
struct Method {
    in_flight: u64,
    call: Histogram,
    read: Histogram,
    write: Histogram,
}

impl ServiceStatistics {
    /// Nothing counted yet. `server` is the server's name in metrics and on `/rpcz`, e.g.
    /// `statestore`; `service` that of the Thrift service, e.g. `StatestoreService`.
    pub fn new(server: &'static str, service: &'static str) -> Self {
        Self {
            server,
            service,
            state: Arc::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Counts stay usable whoever panicked.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The server's own metrics (observability.md section 1).
    pub fn server_metrics(&self) -> Vec<Metric> {
        let state = self.state();
        let service = self.service;
        let key = |name: &str| format!("impala.thrift-server.{service}.{name}");
        let count = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        vec![
            Metric::gauge(
                key("connections-in-use"),
                Units::None,
                count(state.open),
                "The number of active connections to this server.",
            ),
            Metric::counter(
                key("total-connections"),
                count(state.accepted),
                "The total number of connections made to this server over its lifetime.",
            ),
            // A connection is served at once by a task of its own: nothing ever queues.
            Metric::gauge(
                key("connection-setup-queue-size"),
                Units::None,
                0,
                "The number of accepted connections that wait to be set up.",
            ),
            Metric::gauge(
                key("timedout-cnxn-requests"),
                Units::None,
                0,
                "The number of connection requests that timed out waiting to be set up.",
            ),
            Metric::histogram(
                key("connection-setup-time"),
                Units::TimeUs,
                state.setup.snapshot(),
                "The time that connection requests spent waiting to be set up.",
            ),
            Metric::histogram(
                key("svc-thread-wait-time"),
                Units::TimeUs,
                state.wait.snapshot(),
                "The time that connections spent waiting for a service thread.",
            ),
        ]
    }

    /// Three histograms for each method called so far.
    pub fn method_metrics(&self) -> Vec<Metric> {
        let state = self.state();
        let (server, service) = (self.server, self.service);
        let metrics = |(name, method): (&&str, &Method)| {
            let metric = |what: &str, histogram: &Histogram, about: &str| {
                let key = format!("rpc-method.{server}.{service}.{name}.{what}");
                Metric::histogram(key, Units::TimeUs, histogram.snapshot(), about.to_owned())
            };
            [
                metric("call_duration", &method.call, "Time that the call took."),
                metric(
                    "read_duration",
                    &method.read,
                    "Time spent reading requests.",
                ),
                metric(
                    "write_duration",
                    &method.write,
                    "Time spent writing answers.",
                ),
            ]
        };
        state.methods.iter().flat_map(metrics).collect()
    }
}

impl Observer for ServiceStatistics {
    fn connection_opened(&self) {
        let mut state = self.state();
        state.open += 1;
        state.accepted += 1;
        state.setup.record(0);
        state.wait.record(0);
    }

    fn connection_closed(&self) {
        self.state().open -= 1;
    }

    fn call_started(&self, method: &'static str) {
        self.state().methods.entry(method).or_default().in_flight += 1;
    }

    fn call_ended(&self, method: &'static str, times: Option<CallTimes>) {
        let mut state = self.state();
        let method = state.methods.entry(method).or_default();
        method.in_flight = method.in_flight.saturating_sub(1);
        if let Some(times) = times {
            method.read.record(micros(times.read));
            method.call.record(micros(times.call));
            method.write.record(micros(times.write));
        }
    }
}

impl RpcStatistics for ServiceStatistics {
    fn servers(&self) -> BoxFuture<'static, Vec<RpcServer>> {
        let state = self.state();
        let method = |(name, method): (&&str, &Method)| RpcMethod {
            name: format!("{}.{name}", self.service),
            call: method.call.snapshot(),
            read: method.read.snapshot(),
            write: method.write.snapshot(),
            in_flight: method.in_flight,
        };
        let methods = state.methods.iter().map(method).collect();
        let server = RpcServer {
            name: self.server.to_owned(),
            methods,
        };
        std::future::ready(vec![server]).boxed()
    }

    fn reset(&self, server: Option<String>, method: Option<String>) -> BoxFuture<'static, ()> {
        if server.is_none_or(|server| server == self.server) {
            let mut state = self.state();
            for (name, statistics) in &mut state.methods {
                let full = format!("{}.{name}", self.service);
                if method
                    .as_ref()
                    .is_none_or(|method| method == name || *method == full)
                {
                    let in_flight = statistics.in_flight;
                    *statistics = Method {
                        in_flight,
                        ..Method::default()
                    };
                }
            }
        }
        std::future::ready(()).boxed()
    }
}

/// Several servers of one daemon.
impl RpcStatistics for Vec<ServiceStatistics> {
    fn servers(&self) -> BoxFuture<'static, Vec<RpcServer>> {
        let each = join_all(self.iter().map(RpcStatistics::servers));
        each.map(|servers| servers.concat()).boxed()
    }

    fn reset(&self, server: Option<String>, method: Option<String>) -> BoxFuture<'static, ()> {
        let reset = |one: &ServiceStatistics| one.reset(server.clone(), method.clone());
        join_all(self.iter().map(reset)).map(drop).boxed()
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_appears_with_its_first_call_and_a_reset_keeps_what_is_in_flight() {
        let statistics = ServiceStatistics::new("statestore", "StatestoreService");
        assert!(statistics.method_metrics().is_empty());
        statistics.call_started("RegisterSubscriber");
        statistics.call_started("RegisterSubscriber");
        let time = Duration::from_micros(5);
        let times = CallTimes {
            read: time,
            call: time,
            write: time,
        };
        statistics.call_ended("RegisterSubscriber", Some(times));
        let key = "rpc-method.statestore.StatestoreService.RegisterSubscriber.call_duration";
        assert_eq!(statistics.method_metrics()[0].key, key);
        let method =
            || statistics.servers().now_or_never().unwrap_or_default()[0].methods[0].clone();
        assert_eq!((method().in_flight, method().call.count), (1, 1));
        let name = Some("StatestoreService.RegisterSubscriber".to_owned());
        statistics
            .reset(Some("statestore".to_owned()), name)
            .now_or_never();
        assert_eq!((method().in_flight, method().call.count), (1, 0));
    }
}
