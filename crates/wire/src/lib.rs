//! Impala's statestore protocol: bytes to messages and back.
//!
//! The reading order is the layering: [`thrift`] reads and writes the binary protocol's
//! primitives, [`schema`] turns a table of fields into a struct with both directions,
//! [`messages`] is the table itself, [`item`] keeps topic items in the form they travel in,
//! [`delta`] builds an update around items that are shared by all who get them,
//! [`envelope`] wraps arguments and results into whole messages, [`scan`] finds where a message
//! that is still arriving ends, [`sift`] takes items out of one, and [`host_port`] is an address
//! that can be connected to.
//!
//! Deliberately absent: sockets, clocks, buffering policy, and any opinion on what a message
//! means. This crate knows Impala's Thrift names so that no other crate has to.
//!
//! Invariant: whatever bytes arrive, reading ends in a value or a [`Fault`], in time and memory
//! linear in the bytes that really arrived, never in a number they claim.
#![no_std]

extern crate alloc;

pub mod delta;
pub mod envelope;
pub mod host_port;
pub mod item;
pub mod messages;
pub mod scan;
pub mod schema;
pub mod sift;
pub mod status;
pub mod text;
pub mod thrift;

pub use delta::{TooManyItems, TopicParts, UpdateFrame};
pub use envelope::{Envelope, MessageKind, Rpc};
pub use host_port::{AddressError, HostPort};
pub use item::{Item, ItemBatch, ItemBatchBuilder, Sifted};
pub use messages::*;
pub use scan::Scanner;
pub use schema::Wire;
pub use status::{Status, StatusCode};
pub use text::Text;
pub use thrift::{Fault, Reader};
