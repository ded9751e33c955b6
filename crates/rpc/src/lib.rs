//! Thrift RPC over tokio, for both ends of the statestore's protocol.
//!
//! The reading order is the layering: [`net`] is the only door to the network, [`message`] cuts
//! whole messages out of a stream, [`client`] makes one call on one connection, [`pool`] keeps
//! connections and the retry rules, [`service`] says what a server does with a call, and
//! [`server`] runs the connections that bring them.
//!
//! Deliberately absent: what a message means, when one is due, and any state beyond connections.
//!
//! Invariant: whatever a peer does, a call ends by its deadline, a server's memory stays under
//! its budget, and other connections do not notice.

mod answer;
pub mod budget;
mod buffer;
pub mod client;
pub mod elsewhere;
pub mod error;
pub mod gate;
pub mod gauge;
pub mod message;
pub mod net;
pub mod pool;
pub mod retry;
mod send;
pub mod server;
pub mod service;

pub use budget::Budget;
pub use client::{CallLimits, Connection};
pub use elsewhere::elsewhere;
pub use error::{Failure, RpcError};
pub use gate::Gate;
pub use gauge::Gauge;
pub use net::{Listener, Net, Stream, TcpNet};
pub use pool::{Pool, PoolLimits, Purpose, Reply, Usage};
pub use retry::{Attempts, retry};
pub use send::give_way;
pub use server::{CallTimes, Idle, Limits, Observer, Places, Quiet, Server, Waits};
pub use service::{Call, Held, LocalService, Outcome, Service};
pub use statestore_wire::HostPort;

// For `dispatch!`.
#[doc(hidden)]
pub use statestore_wire as wire;
