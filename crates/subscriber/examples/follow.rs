//! Publishes one entry and shows every change of a topic until Ctrl-C.
//!
//! `cargo run --example follow -- HOST PORT TOPIC KEY VALUE`

use statestore_subscriber::{Subscriber, Topic};
use std::error::Error;

#[tokio::main]
#[expect(clippy::print_stdout, reason = "it shows what it sees")]
async fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [host, port, topic, key, value] = args.as_slice() else {
        return Err("usage: follow HOST PORT TOPIC KEY VALUE".into());
    };
    let topic = topic.as_str();
    let subscriber = Subscriber::builder(format!("follow-{}", std::process::id()))
        .statestore(host, port.parse()?)
        .topic(Topic::new(topic).transient())
        .start()
        .await?;
    let (key, value) = (key.as_str(), value.clone());
    subscriber.publish(topic, key, value).await?;

    let mut changes = subscriber.follow(topic)?;
    loop {
        tokio::select! {
            Some(change) = changes.next() => {
                println!("version {}, whole: {}", change.to_version(), !change.is_delta());
                for item in change.items().iter() {
                    let sign = if item.deleted { '-' } else { '+' };
                    println!("{sign} {} = {}", item.key.escape_ascii(), item.value.escape_ascii());
                }
            }
            _ = tokio::signal::ctrl_c() => break,
        }
    }
    subscriber.leave().await;
    Ok(())
}
