//! A statestored given the same work as its peers, so that their figures lie side by side.
//!
//! Watchers are the bench's crowd, at the default periods; small changes are published by a call,
//! many entries by one reply. Deliberately absent: what other scenarios measure more closely.

use crate::crowd::{Conduct, Crowd, Records, Topic, change};
use crate::failure::Failure;
use crate::machine::Process;
use crate::scenarios::{BULK, Bench, LIMIT, NORMAL, Publisher, items, too_late};
use crate::server::Statestored;
use crate::unasked::Caller;
use statestore_wire::ItemBatch;
use std::sync::Arc;

/// A running one, with its watchers.
pub(super) struct Server {
    server: Statestored,
    crowd: Crowd,
    records: Arc<Records>,
    caller: Caller,
    publisher: Publisher,
    watchers: usize,
    changes: u64,
}

impl Server {
    pub(super) async fn start(bench: &Bench) -> Result<Self, Failure> {
        let (server, crowd) = bench.start(&[]).await?;
        let records = Records::new();
        let topics = [Topic::nothing_of(NORMAL)];
        let caller = Caller::join(&crowd, server.address(), &topics, &records).await?;
        let publisher = Publisher::join(&crowd, &server, &Records::new()).await?;
        Ok(Self {
            server,
            crowd,
            records,
            caller,
            publisher,
            watchers: 0,
            changes: 0,
        })
    }

    pub(super) fn process(&self) -> Process {
        self.server.process()
    }

    pub(super) async fn watch(&mut self, count: usize) -> Result<(), Failure> {
        let who = self.crowd.add(count, Conduct::Answers, &self.records);
        let address = self.server.address();
        let topics = [NORMAL, BULK].map(Topic::all_of);
        self.crowd.register(&address, &who, &topics).await?;
        self.watchers += count;
        Ok(())
    }

    pub(super) async fn publish(&mut self, count: usize, len: usize) -> Result<(), Failure> {
        if count > 1 {
            self.records.forget_larges();
            self.publisher.publish(BULK, items(count, len, b'v', false));
            let all = self.records.larges(self.watchers, LIMIT).await;
            let late = || too_late("the topic at everybody".to_owned());
            return all.map(|_| ()).ok_or_else(late);
        }
        self.changes += 1;
        self.records.expect(self.changes, self.watchers);
        let value = change(self.changes, len);
        let probe = ItemBatch::from_items([(&b"probe"[..], &value[..], false)]);
        self.caller.publish(NORMAL, probe).await?;
        let all = self.records.changes(LIMIT).await;
        let late = || too_late(format!("change {} at everybody", self.changes));
        all.map(|_| ()).ok_or_else(late)
    }
}
