//! A publisher that calls: publications that wait for no update to answer.
//!
//! Deliberately absent: what the library does beside it (repeating, judging what arrived).

use crate::crowd::{Conduct, Crowd, Records, Topic};
use crate::failure::Failure;
use crate::scenarios::LIMIT;
use statestore_rpc::{CallLimits, HostPort, Pool, PoolLimits, Purpose, TcpNet};
use statestore_wire::{ItemBatch, PublishRequest, Text, TopicDelta, UniqueId};
use std::sync::Arc;
use std::time::Instant;

/// Publishes by calls of its own.
pub(crate) struct Caller {
    pool: Pool<TcpNet>,
    server: HostPort,
    id: Text,
    registration: UniqueId,
    sequence: i64,
    records: Arc<Records>,
}

impl Caller {
    /// Registers; it is sent nothing of the topics.
    pub(crate) async fn join(
        crowd: &Crowd,
        server: HostPort,
        topics: &[Topic],
        records: &Arc<Records>,
    ) -> Result<Self, Failure> {
        let one = crowd.add(1, Conduct::Publishes, records);
        let pool = Pool::new(TcpNet, PoolLimits::default());
        let registered = crowd.register_one(&pool, &server, &one[0], topics);
        let (id, registration) = registered.await?;
        Ok(Self {
            pool,
            server,
            id,
            registration,
            sequence: 0,
            records: Arc::clone(records),
        })
    }

    /// Publishes; the clock of a change runs from here.
    pub(crate) async fn publish(
        &mut self,
        topic: &'static str,
        items: ItemBatch,
    ) -> Result<(), Failure> {
        self.sequence += 1;
        let request = PublishRequest {
            subscriber_id: self.id.clone(),
            registration_id: self.registration,
            sequence: self.sequence,
            topic_updates: vec![TopicDelta {
                topic_name: topic.into(),
                topic_entries: items,
                is_delta: true,
                ..TopicDelta::default()
            }],
            ..PublishRequest::default()
        };
        self.records.published(Instant::now());
        let (limits, purpose) = (CallLimits::small(LIMIT), Purpose("publish"));
        let reply = self.pool.call(&self.server, purpose, &request, limits);
        let reply = reply.await;
        let reply = reply.map_err(|error| Failure::registration(&self.id.to_str(), &error))?;
        if reply.status.is_ok() {
            return Ok(());
        }
        Err(Failure::Registration {
            subscriber: self.id.to_str().into_owned(),
            why: format!("{:?}", reply.status),
        })
    }
}
