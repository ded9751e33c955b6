//! How pages and metrics, on any thread, look at the node on its own.
//!
//! A question is a closure that runs on the control thread with a [`Scene`], takes what it wants
//! in one go, and goes back with the answer. Deliberately absent: what is taken (`metrics`,
//! `pages`), and any copy kept between questions.

use crate::owner::Owner;
use statestore_core::node::Node;
use statestore_core::time::Now;
use statestore_rpc::{Net, Purpose, Usage};
use tokio::sync::{mpsc, oneshot};

/// One moment of a statestored.
pub struct Scene<'a> {
    /// The core.
    pub node: &'a Node,
    /// The moment.
    pub now: Now,
    /// Whether StatestoreService is open.
    pub serving: bool,
    /// Connections to subscribers by purpose.
    pub connections: &'a dyn Fn(Purpose) -> Usage,
}

type Question = Box<dyn FnOnce(&Scene<'_>) + Send>;

/// Asks; clones share the way.
#[derive(Debug, Clone)]
pub struct Views(mpsc::UnboundedSender<Question>);

/// What was asked, for `run`.
#[derive(Debug)]
pub struct Questions(mpsc::UnboundedReceiver<Question>);

/// Both ends. Questions wait until `run` begins.
pub fn views() -> (Views, Questions) {
    let (ask, asked) = mpsc::unbounded_channel();
    (Views(ask), Questions(asked))
}

impl Views {
    /// What `look` makes of this moment; `None` once the statestored has ended.
    pub async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Scene<'_>) -> T + Send + 'static,
    ) -> Option<T> {
        let (answer, answered) = oneshot::channel();
        let question = move |scene: &Scene<'_>| {
            // Whoever asked may have gone.
            let _ = answer.send(look(scene));
        };
        self.0.send(Box::new(question)).ok()?;
        answered.await.ok()
    }
}

/// Answers questions for ever.
pub(crate) async fn answer<N: Net>(mut questions: Questions, owner: Owner<N>) {
    while let Some(question) = questions.0.recv().await {
        let connections = |purpose| owner.fanout().usage(purpose);
        owner.look(|node, now| {
            question(&Scene {
                node,
                now,
                serving: owner.serving(),
                connections: &connections,
            });
        });
        // A queue of questions must not keep calls from their turn.
        tokio::task::yield_now().await;
    }
}
