//! When the node is stepped, and when it is not any more.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::clock::SystemClock;
use crate::fanout::FanoutLimits;
use futures::poll;
use statestore_core::config::Config;
use statestore_core::time::Wall;
use statestore_rpc::{PoolLimits, TcpNet};
use statestore_wire::NetworkAddress;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Mutex;
use std::task::Poll;
use tokio::runtime::Handle;
use tokio::task::LocalSet;

/// One that calls nobody.
pub(super) fn owner() -> Owner<TcpNet> {
    owner_by(Arc::new(SystemClock))
}

/// The same by another clock.
fn owner_by(clock: Arc<dyn Clock>) -> Owner<TcpNet> {
    let limits = FanoutLimits {
        max_reply: 1 << 20,
        pool: PoolLimits::default(),
    };
    let fence = FenceCell::new(clock.clone());
    let debug = Default::default();
    let fanout = Fanout::new(TcpNet, limits, debug, Handle::current(), fence);
    let dice = rand::SeedableRng::seed_from_u64(1);
    Owner::new(Config::default(), clock, dice, fanout)
}

/// Whatever is ready has its turn first.
pub(super) async fn turn() {
    let mut had = false;
    poll_fn(|cx| {
        cx.waker().wake_by_ref();
        match std::mem::replace(&mut had, true) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    })
    .await;
}

pub(super) async fn some_turns() {
    for _ in 0..10 {
        turn().await;
    }
}

/// A clock that stands still until it is told to go on.
#[derive(Debug)]
struct Still(Mutex<Time>);

impl Still {
    fn go_on(&self, by: Duration) {
        let mut time = self.0.lock().unwrap();
        *time = *time + by;
    }
}

impl Clock for Still {
    fn now(&self) -> Now {
        Now {
            time: *self.0.lock().unwrap(),
            wall: Wall(0),
        }
    }
}

#[tokio::test]
async fn one_that_is_closing_answers_nobody_and_keeps_no_time() {
    let owner = owner();
    let leave = || Request::Unregister(Default::default());
    assert!(owner.ask(leave()).await.is_some());
    owner.close();
    assert!(owner.ask(leave()).await.is_none());
    assert!(owner.0.asking.borrow().is_empty());
    owner.keep_time().await;
}

// P5
#[tokio::test]
async fn news_for_thousands_go_out_in_several_steps_before_answers_are_read() {
    const { assert!(STEPS > 1) };
    let test = async {
        let clock = Arc::new(Still(Mutex::new(Time::from_nanos(1 << 40))));
        let owner = owner_by(clock.clone());
        let pending = || owner.0.node.borrow().totals().calls_pending;
        for n in 0..2_000 {
            let nowhere = NetworkAddress::default(); // nobody can be reached there
            let id = format!("subscriber-{n}").into();
            let request = RegisterSubscriberRequest::new(id, nowhere);
            let response = owner.register(request).await.unwrap();
            assert!(response.status.is_ok(), "{:?}", response.status);
        }
        let mut sent = Vec::new();
        for keeps_time in [false, true] {
            while owner.0.node.borrow().deadline() <= Some(clock.time()) || pending() > 0 {
                owner.step(Input::Timer);
                some_turns().await;
            }
            clock.go_on(Duration::from_secs(2));
            match keeps_time {
                // Until it lets others have their turn.
                true => assert!(poll!(pin!(owner.keep_time())).is_pending()),
                false => assert!(owner.step(Input::Timer)),
            }
            sent.push(pending());
        }
        // Something that is no call may have been due as well.
        let (most, least) = ((STEPS + 1) * sent[0], (STEPS - 1) * sent[0]);
        assert!(
            sent[0] > 100 && least < sent[1] && sent[1] < most,
            "{sent:?}"
        );
    };
    LocalSet::new().run_until(test).await;
}
