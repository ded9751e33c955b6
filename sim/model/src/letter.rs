//! What is under way: a request, or the answer to one, with what its sender has to remember.
//!
//! A letter may arrive at any time, or never. Deliberately absent: connections and order; each
//! letter is on its own, which allows more than a network does.

use crate::print::print;
use crate::subscriber::{Answer, Heartbeat};
use statestore_core::ids::StatestoreId;
use statestore_core::pair::{Beat, BeatReply, BeatSent, Hello, HelloSent, Welcome};
use statestore_core::time::Time;
use std::sync::Arc;
use std::time::Duration;

/// A voter's process.
pub type Process = (usize, u8);

/// To somebody.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Request {
    /// To a voter.
    Heartbeat(Process, Heartbeat, Time),
    /// To a voter, by an active one.
    Update(Process, Heartbeat, Time),
    /// From this server.
    Beat(usize, Arc<Beat<u8>>, BeatSent),
    /// From this server.
    Hello(usize, Arc<Hello>, HelloSent),
    /// This server's process has stopped.
    Goodbye(usize, StatestoreId),
}

/// Back to who asked, if that process still lives.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Reply {
    /// From a voter, with the server's process.
    Heartbeat(Process, (usize, u8), Time, Answer),
    /// From a voter: whether it processed it.
    Update(Process, (usize, u8), Time, bool),
    /// To this server.
    Beat(usize, BeatSent, Option<Arc<BeatReply<u8>>>),
    /// To this server: its beat was not for the process that is there.
    Stranger(usize, BeatSent, StatestoreId),
    /// To this server.
    Welcome(usize, HelloSent, Welcome),
}

/// One or the other.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Letter {
    /// On its way there.
    Request(Request),
    /// On its way back.
    Reply(Reply),
}

impl Letter {
    /// A goodbye is a fault of its own, not one of the few that may be late.
    pub fn is_goodbye(&self) -> bool {
        matches!(self, Self::Request(Request::Goodbye(..)))
    }

    /// Moves its times.
    pub fn shift(&mut self, back: Duration) {
        match self {
            Self::Request(Request::Heartbeat(_, _, at) | Request::Update(_, _, at))
            | Self::Reply(Reply::Heartbeat(_, _, at, _) | Reply::Update(_, _, at, _)) => {
                *at = *at - back;
            }
            Self::Request(Request::Beat(_, _, sent))
            | Self::Reply(Reply::Beat(_, sent, _) | Reply::Stranger(_, sent, _)) => {
                sent.at = sent.at - back;
            }
            // Moved with the pair that has sent it.
            Self::Request(Request::Hello(..)) | Self::Reply(Reply::Welcome(..)) => {}
            Self::Request(Request::Goodbye(..)) => {}
        }
    }

    /// What this server has to remember of a handshake of its own.
    pub fn hello_of(&mut self, server: usize) -> Option<&mut statestore_core::pair::HelloSent> {
        match self {
            Self::Request(Request::Hello(from, _, sent))
            | Self::Reply(Reply::Welcome(from, sent, _)) => (*from == server).then_some(sent),
            _ => None,
        }
    }

    /// True for what only the sender's process can use.
    pub fn is_reply_to(&self, server: usize) -> bool {
        match self {
            Self::Reply(
                Reply::Heartbeat(_, (to, _), ..)
                | Reply::Update(_, (to, _), ..)
                | Reply::Beat(to, ..)
                | Reply::Stranger(to, ..)
                | Reply::Welcome(to, ..),
            ) => *to == server,
            Self::Request(_) => false,
        }
    }

    /// What it says, without the times that only its sender remembers.
    pub fn said(&self) -> u64 {
        match self {
            Self::Request(Request::Heartbeat(to, said, _) | Request::Update(to, said, _)) => {
                print(&(0, to, said))
            }
            Self::Request(Request::Beat(from, beat, _)) => print(&(1, from, beat)),
            Self::Request(Request::Hello(from, hello, _)) => print(&(2, from, hello)),
            Self::Request(Request::Goodbye(from, id)) => print(&(3, from, id)),
            Self::Reply(Reply::Heartbeat(from, to, _, answer)) => print(&(4, from, to, answer)),
            Self::Reply(Reply::Update(from, to, _, processed)) => print(&(5, from, to, processed)),
            Self::Reply(Reply::Beat(to, _, reply)) => print(&(6, to, reply)),
            Self::Reply(Reply::Stranger(to, _, own)) => print(&(7, to, own)),
            Self::Reply(Reply::Welcome(to, _, welcome)) => print(&(8, to, welcome)),
        }
    }

    /// To keep letters in one order.
    pub fn key(&self) -> u64 {
        print(self)
    }
}
