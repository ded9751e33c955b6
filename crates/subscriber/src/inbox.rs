//! The owner's inbox: everything that can reach it, and how the application's wishes do.
//!
//! Deliberately absent: what becomes of a message (`driver::owner`).

use crate::error::Refused;
use statestore_core::ids::CallId;
use statestore_core::subscriber::port::{Answer, Command, Reply, Request, Token};
use statestore_wire::{Status, Text};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// What reaches the owner.
pub(crate) enum Message {
    Request(Request, oneshot::Sender<Answer>),
    Completed(CallId, Result<Reply, Status>),
    Processed(Token, Result<Vec<Command>, Text>, Vec<(Text, Duration)>),
    /// Confirmed when the wishes are the core's.
    Publish(Vec<Command>, oneshot::Sender<()>),
    Leave,
}

pub(crate) type Inbox = mpsc::Sender<Message>;

/// Puts wishes into the core; done when they are its.
pub(crate) async fn publish(inbox: &Inbox, commands: Vec<Command>) -> Result<(), Refused> {
    let (sender, confirmation) = oneshot::channel();
    let sent = inbox.send(Message::Publish(commands, sender)).await;
    sent.map_err(|_| Refused::Left)?;
    confirmation.await.map_err(|_| Refused::Left)
}
