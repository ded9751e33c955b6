//! The pair: what holds the active statestored in its role, and the way out when nothing does.
//!
//! `ha` shows the page `/ha`; `force-active` is the only command that changes anything, and says
//! what it risks before it does. Deliberately absent: any judgement of what the page says.

use crate::address::Address;
use crate::pages::{PageError, Pages};
use crate::rpc::{CallError, call};
use crate::show::{self, Listing};
use serde_json::{Map, Value, json};
use statestore_wire::{
    Epoch, ForceStatestoreActiveRequest, GetProtocolVersionRequest, ProtocolVersion, UniqueId,
};
use std::io;
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

/// What the page `/ha` of some statestoreds says.
pub(crate) struct Views {
    /// Each with the address of its web server.
    seen: Vec<(String, Map<String, Value>)>,
    /// A single one was asked for: its document, not a list.
    single: bool,
}

/// Reads `/ha` of each. Who does not answer is told apart, so that the others are seen.
pub(crate) fn ha(all: &[Pages], single: bool) -> (Views, Vec<PageError>) {
    let (mut seen, mut errors) = (Vec::new(), Vec::new());
    for pages in all {
        match view(pages) {
            Ok(facts) => seen.push((pages.address().to_owned(), facts)),
            Err(error) => errors.push(error),
        }
    }
    (Views { seen, single }, errors)
}

fn view(pages: &Pages) -> Result<Map<String, Value>, PageError> {
    match pages.json("/ha")? {
        Value::Object(mut facts) if facts.contains_key("voters") => {
            facts.retain(|name, _| !name.starts_with("__"));
            Ok(facts)
        }
        _ => Err(pages.lacks("/ha", "list named voters")),
    }
}

impl Views {
    /// Prints them: facts, then voters; as JSON the documents, each with where it is from.
    pub(crate) fn show(&self, as_json: bool) -> io::Result<()> {
        if self.seen.is_empty() {
            return Ok(());
        }
        if as_json {
            let documents = self.seen.iter().map(|(web, facts)| {
                let mut document = Map::new();
                document.insert("web".to_owned(), web.as_str().into());
                document.extend(facts.clone());
                Value::Object(document)
            });
            let documents: Vec<Value> = documents.collect();
            let document = match <[Value; 1]>::try_from(documents) {
                Ok([only]) if self.single => only,
                Ok(only) => Value::Array(only.into()),
                Err(documents) => Value::Array(documents),
            };
            return show::listing(&Listing::record(document), true);
        }
        show::listing(&self.facts(), false)?;
        show::listing(&self.voters(), false)
    }

    /// A row for each fact, a column for each statestored.
    fn facts(&self) -> Listing {
        let mut rows: Vec<Map<String, Value>> = Vec::new();
        for (web, facts) in &self.seen {
            for (name, value) in flat(facts) {
                let at = rows.iter().position(|row| row["web"] == *name);
                let at = at.unwrap_or_else(|| {
                    rows.push(Map::from_iter([("web".to_owned(), name.into())]));
                    rows.len() - 1
                });
                rows[at].insert(web.clone(), value);
            }
        }
        let webs = self.seen.iter().map(|(web, _)| web.clone());
        let columns = std::iter::once("web".to_owned()).chain(webs);
        Listing::table(rows, columns.collect())
    }

    fn voters(&self) -> Listing {
        let mut rows = Vec::new();
        for (web, facts) in &self.seen {
            let voters = facts.get("voters").and_then(Value::as_array);
            for voter in voters.into_iter().flatten().filter_map(Value::as_object) {
                let mut row = voter.clone();
                row.insert("seen_by".to_owned(), web.as_str().into());
                rows.push(row);
            }
        }
        rows.sort_by_cached_key(|row| row.get("id").and_then(Value::as_str).map(str::to_owned));
        let mut columns = VOTER.to_vec();
        if self.seen.len() > 1 {
            columns.insert(1, "seen_by");
        }
        Listing::rows(rows, &columns)
    }
}

/// What people see of a voter.
const VOTER: [&str; 8] = [
    "id",
    "registered",
    "in_electorate",
    "knows_epochs",
    "acknowledged_ms_ago",
    "vote",
    "vote_is_for_takeover",
    "vote_age_ms",
];

/// One fact a line: obstacles become a sentence, limits facts of their own.
fn flat(facts: &Map<String, Value>) -> Vec<(String, Value)> {
    let mut flat = Vec::new();
    for (name, value) in facts {
        match value {
            Value::Array(_) if name == "voters" => {}
            Value::Array(texts) => {
                let texts: Vec<&str> = texts.iter().filter_map(Value::as_str).collect();
                let text = (!texts.is_empty()).then(|| texts.join("; "));
                flat.push((name.clone(), text.into()));
            }
            Value::Object(fields) => flat.extend(fields.clone()),
            scalar => flat.push((name.clone(), scalar.clone())),
        }
    }
    flat
}

/// What was done.
pub(crate) struct Forced {
    rpc: Address,
    statestore_id: UniqueId,
    epoch: Epoch,
}

impl Forced {
    pub(crate) fn show(&self, as_json: bool) -> io::Result<()> {
        let Self {
            rpc,
            statestore_id,
            epoch,
        } = self;
        if !as_json {
            let done = format!("The statestored {statestore_id} at {rpc} is active under epoch");
            return show::bytes(format!("{done} {epoch}.\n{RISK}\n").as_bytes());
        }
        let document = json!({
            "rpc": rpc.to_string(),
            "statestore_id": statestore_id.to_string(),
            "epoch": epoch.0,
        });
        show::listing(&Listing::record(document), true)
    }
}

/// Makes the statestored at `rpc` active.
pub(crate) fn force_active(
    rpc: &Address,
    limit: Duration,
    accepted: bool,
) -> Result<Forced, ForceError> {
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
    Ok(Forced {
        rpc: rpc.clone(),
        statestore_id: request.statestore_id,
        epoch: answer.epoch.unwrap_or_default(),
    })
}
