//! The pair: what holds the active statestored in its role, and the way out when nothing does.
//!
//! `ha` shows the page `/ha`; `force-active` is the only command that changes anything, and says
//! what it risks before it does. Deliberately absent: any judgement of what the page says.

use crate::address::Address;
use crate::pages::{PageError, Pages};
use crate::rpc::{CallError, call};
use crate::show::Listing;
use serde_json::{Map, Value};
use statestore_wire::{ForceStatestoreActiveRequest, GetProtocolVersionRequest, ProtocolVersion};
use std::time::Duration;
use thiserror::Error;

/// What `force-active` may do to a cluster.
const RISK: &str = "If the other statestored is alive and has its lease, both act until its \
                    subscribers or the other one itself hear of the higher epoch: for that moment \
                    the promise of at most one active is given up. Topics start empty here and are \
                    published again.";

/// Why a statestored did not become active.
#[derive(Debug, Error)]
pub(crate) enum ForceError {
    /// The user has not said that the risk is known.
    #[error("{RISK} Say --accept-two-actives to do it all the same")]
    NotAccepted,
    /// The network's or the machine's fault, or --rpc is wrong.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The statestored's answer.
    #[error("the statestored at {rpc} refuses: {why}")]
    Refused {
        /// Where.
        rpc: Address,
        /// Its words.
        why: String,
    },
}

/// `/ha`: the facts, then the voters.
pub(crate) fn ha(pages: &Pages) -> Result<Vec<Listing>, PageError> {
    let document = pages.json("/ha")?;
    let Value::Object(mut facts) = document else {
        return Err(pages.lacks("/ha", "facts"));
    };
    facts.retain(|name, _| !name.starts_with("__"));
    let voters = facts.get("voters").and_then(Value::as_array).cloned();
    let rows = voters.into_iter().flatten().filter_map(|row| match row {
        Value::Object(row) => Some(row),
        _ => None,
    });
    let rows: Vec<Map<String, Value>> = rows.collect();
    let columns = [
        "id",
        "registered",
        "in_electorate",
        "knows_epochs",
        "acknowledged_ms_ago",
        "vote",
        "vote_is_for_takeover",
        "vote_age_ms",
    ];
    let obstacles = facts.get("obstacles").and_then(Value::as_array);
    let lines: Vec<&str> = obstacles
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let in_the_way = match lines.is_empty() {
        true => Value::Null,
        false => lines.join("; ").into(),
    };
    facts.remove("voters");
    facts.insert("obstacles".to_owned(), in_the_way);
    Ok(vec![
        Listing::record(Value::Object(facts)),
        Listing::rows(rows, &columns),
    ])
}

/// Makes the statestored at `rpc` active. The answer says under which epoch.
pub(crate) fn force_active(
    rpc: &Address,
    limit: Duration,
    accepted: bool,
) -> Result<String, ForceError> {
    if !accepted {
        return Err(ForceError::NotAccepted);
    }
    let version = call(rpc, limit, &GetProtocolVersionRequest::default())?;
    let request = ForceStatestoreActiveRequest {
        protocol_version: ProtocolVersion::V2,
        statestore_id: version.statestore_id.unwrap_or_default(),
    };
    let answer = call(rpc, limit, &request)?;
    if !answer.status.is_ok() {
        return Err(ForceError::Refused {
            rpc: rpc.clone(),
            why: answer.status.message().to_string(),
        });
    }
    let epoch = answer.epoch.unwrap_or_default();
    Ok(format!(
        "The statestored {} at {rpc} is active under epoch {epoch}.\n{RISK}\n",
        request.statestore_id
    ))
}
