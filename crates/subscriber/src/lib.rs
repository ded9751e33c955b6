//! Join a statestore: know who is there, follow topics, publish into them.
//!
//! A statestore is a small in-memory board. Daemons register with it as *subscribers*, follow
//! *topics* (sets of keys with values), publish entries, and learn of each other: a *transient*
//! entry vanishes with the subscriber that wrote it. This crate is a subscriber for any Rust
//! service; it speaks the protocol of Apache Impala's statestored.
//!
//! ```no_run
//! use statestore_subscriber::{Subscriber, Topic};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let subscriber = Subscriber::builder("indexer@host-7")
//!     .statestore("statestore-1", 24000)
//!     .topic(Topic::new("indexers").transient())
//!     .start()
//!     .await?;
//! subscriber.registered().await?;
//! subscriber.publish("indexers", "host-7", "ready").await?;
//!
//! let mut members = subscriber.follow("indexers")?;
//! while let Some(change) = members.next().await {
//!     for item in change.items().iter() {
//!         println!("{:?} -> {:?}", item.key, (!item.deleted).then_some(item.value));
//!     }
//! }
//! # Ok(()) }
//! ```
//!
//! # What it takes care of
//! * It registers, notices by missing heartbeats that statestored is gone, and registers again,
//!   for ever. [`Handle::status`] tells address, role, last heartbeat and missed heartbeats of
//!   each statestored.
//! * What you publish stays published: it is sent until it has provably arrived, and again after
//!   every re-registration, until you delete it.
//! * Deltas are applied in order, on the right base; [`Handle::entries`] is the topic.
//! * With the two statestoreds of an HA pair it follows the active one.
//!
//! # Streams or handlers
//! [`Handle::follow`] yields the whole content, then deltas, and never holds up anybody. A
//! [`Topic::handler`] runs inside statestored's call and can publish in the same answer:
//!
//! ```
//! use statestore_subscriber::Topic;
//!
//! let echo = Topic::new("questions").handler(|delta, publish| {
//!     for item in delta.items().iter().filter(|item| !item.deleted) {
//!         publish.put("answers", item.key, item.value.to_ascii_uppercase());
//!     }
//! });
//! ```
//!
//! # Errors
//! Wrong settings are a [`ConfigError`], a port in use is [`StartError::Listen`], an impossible
//! wish is [`Refused`]. A statestored that is away is none: it is waited for.
//!
//! Inside: `builder` and `handle` are what you touch, `driver` owns the pure machine
//! `statestore_core::subscriber`, which decides everything.

mod builder;
mod clock;
mod delivery;
mod driver;
mod error;
mod feed;
mod handle;
mod inbox;
mod inject;
mod json;
mod service;
mod status;
mod topic;

pub use builder::Builder;
pub use error::{ConfigError, MAX_LEN, Refused, StartError};
pub use feed::Follow;
pub use handle::{Batch, Handle};
pub use inject::{Inject, InjectionPoint};
pub use json::{json_line_iter, json_lines};
pub use status::{Metrics, StatestoreStatus, Status, TopicStatus};
pub use topic::{Delta, Publish, Topic};

pub use statestore_core::subscriber::port::CatalogdChange;
pub use statestore_core::subscriber::{
    Mirror, Role, SHORTEST_PATIENCE, StatestoreView, Tally, TopicView, View,
};
pub use statestore_core::time::{Time, Wall};
pub use statestore_rpc::server::{CallTimes, Observer};
pub use statestore_rpc::{Net, TcpNet};
pub use statestore_wire::item::Item;
pub use statestore_wire::{
    CatalogRegistration, CatalogVersion, ConnState, ItemBatch, NetworkAddress, SubscriberType,
    Text, UniqueId,
};

/// Where everything begins.
#[derive(Debug)]
pub struct Subscriber;

impl Subscriber {
    /// Settings for a subscriber. The id must be unique in the cluster: a second registration
    /// under it ends the first.
    pub fn builder(id: impl Into<Text>) -> Builder {
        Builder::new(id.into())
    }
}
