//! The items of a large answer to an update are taken out of it while it arrives.
#![allow(clippy::unwrap_used)]

mod common;

use common::way::BEATS;
use common::{Act, PATIENCE, Scripted};
use statestore_rpc::{Budget, CallLimits, Failure, Pool, PoolLimits, Reply, RpcError, TcpNet};
use statestore_wire::envelope::{write_call, write_reply};
use statestore_wire::{
    Envelope, ItemBatch, MessageKind, Rpc, TopicDelta, UpdateStateRequest, UpdateStateResponse,
};

const METHOD: &str = UpdateStateRequest::METHOD;
/// Items of a topic: 3 MB.
const ITEMS: u32 = 3_000;

/// Publishes to so many topics, with a small one between any two.
fn answer(topics: usize) -> UpdateStateResponse {
    let topic = |n: usize| {
        let items = if n.is_multiple_of(2) { ITEMS } else { 5 };
        let items: Vec<_> = (0..items).map(|item| (item.to_be_bytes(), item)).collect();
        let value = vec![n as u8; 1_000];
        let items = items
            .iter()
            .map(|(key, item)| (&key[..], &value[..], item.is_multiple_of(9)));
        TopicDelta {
            topic_name: format!("topic {n}").into(),
            topic_entries: ItemBatch::from_items(items),
            from_version: Some(n as i64),
            ..Default::default()
        }
    };
    UpdateStateResponse {
        topic_updates: (0..2 * topics - 1).map(topic).collect(),
        ..Default::default()
    }
}

fn encoded(answer: &UpdateStateResponse) -> Vec<u8> {
    let envelope = Envelope {
        kind: MessageKind::Call,
        method: METHOD.into(),
        seqid: 0,
    };
    let mut out = Vec::new();
    write_reply(&envelope, answer, &mut out);
    out
}

async fn ask(peer: &Scripted, pool: &Pool<TcpNet>) -> Result<Reply<TcpNet>, RpcError> {
    let mut message = Vec::new();
    write_call(&UpdateStateRequest::default(), &mut message);
    let limits = CallLimits {
        deadline: PATIENCE,
        max_reply: 64 << 20,
    };
    let parts = [message];
    let call = pool.call_raw(&peer.at, BEATS, METHOD, &parts, limits);
    call.await
}

fn pool(budget: &Budget) -> Pool<TcpNet> {
    let limits = PoolLimits {
        budget: budget.clone(),
        ..PoolLimits::default()
    };
    Pool::new(TcpNet, limits)
}

async fn asked(act: Act, budget: &Budget) -> Result<UpdateStateResponse, RpcError> {
    let peer = Scripted::start(vec![act]).await;
    ask(&peer, &pool(budget)).await?.decode(&peer.at)
}

fn failure(answer: Result<UpdateStateResponse, RpcError>) -> Failure {
    match answer.unwrap_err() {
        RpcError::General { failure, .. } => failure,
        error => panic!("{error}"),
    }
}

#[tokio::test]
async fn the_answer_is_what_was_sent_and_is_never_here_as_a_whole() {
    let wanted = answer(3);
    let whole = encoded(&wanted);
    assert!(whole.len() > 9_000_000);
    let budget = Budget::new(1 << 30);
    let peer = Scripted::start(vec![Act::Send(whole.clone())]).await;
    let pool = pool(&budget);
    let reply = ask(&peer, &pool).await.unwrap();
    // Lists end with less than what is worth a cut, or than one read brings.
    assert!(reply.bytes().len() < 7 << 20, "{}", reply.bytes().len());
    assert!(budget.used() >= whole.len() as u64);
    let answer: UpdateStateResponse = reply.decode(&peer.at).unwrap();
    assert_eq!((answer, budget.used()), (wanted, 0));
    // The connection is as good as any.
    drop(ask(&peer, &pool).await);
    assert_eq!(peer.accepted(), 1);
}

#[tokio::test]
async fn what_comes_behind_the_answer_is_none_of_it() {
    let wanted = answer(1);
    let more = [encoded(&wanted), encoded(&answer(1))].concat();
    let got = asked(Act::Send(more), &Budget::unlimited()).await;
    assert_eq!(got.unwrap(), wanted);
}

// P9
#[tokio::test]
async fn what_was_taken_out_counts_as_long_as_the_answer_does() {
    let budget = Budget::new(8_000_000);
    asked(Act::Send(encoded(&answer(2))), &budget)
        .await
        .unwrap();
    assert_eq!(budget.used(), 0);
    let refused = failure(asked(Act::Send(encoded(&answer(3))), &budget).await);
    assert!(refused.to_string().contains("budget 8000000"), "{refused}");
    assert_eq!(budget.used(), 0);
}

// P9
#[tokio::test]
async fn an_answer_that_breaks_off_or_holds_no_items_is_refused() {
    let mut bytes = encoded(&answer(1));
    let cut = Act::SendAndClose(bytes[..2_900_000].to_vec());
    let refused = failure(asked(cut, &Budget::unlimited()).await);
    assert!(refused.to_string().contains("2900000 bytes"), "{refused}");

    // The key of the 1,000th item is a field that nobody knows.
    let key = [&[0, 1, 0, 0, 0, 4][..], &999u32.to_be_bytes()].concat();
    let at = bytes.windows(key.len()).position(|it| it == key).unwrap();
    bytes[at + 1] = 9;
    let refused = failure(asked(Act::Send(bytes), &Budget::unlimited()).await);
    assert!(matches!(refused, Failure::BadReply(_)), "{refused}");
    assert!(refused.to_string().contains("TopicItem.key"), "{refused}");
}
