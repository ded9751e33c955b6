//! One call of a statestored, from a command that does not run a server of its own.
//!
//! Deliberately absent: retries; whoever typed the command sees the error and decides.

use crate::address::Address;
use statestore_rpc::{CallLimits, HostPort, Pool, PoolLimits, Purpose, RpcError, TcpNet};
use statestore_wire::Rpc;
use std::io;
use std::time::Duration;
use thiserror::Error;

/// Why there is no answer.
#[derive(Debug, Error)]
pub(crate) enum CallError {
    /// The network's fault, the daemon's, or the address is wrong.
    #[error("cannot call the statestored: {0}")]
    Rpc(#[from] RpcError),
    /// The machine's.
    #[error("cannot start a call: {0}")]
    Runtime(#[from] io::Error),
}

/// The answer of the statestored whose service is at `to`.
pub(crate) fn call<R: Rpc>(
    to: &Address,
    limit: Duration,
    request: &R,
) -> Result<R::Response, CallError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let pool = Pool::new(TcpNet, PoolLimits::default());
    let to = HostPort::new(&to.host, to.port);
    let limits = CallLimits::small(limit);
    let called = pool.call(&to, Purpose("statestorectl"), request, limits);
    Ok(runtime.block_on(called)?)
}
