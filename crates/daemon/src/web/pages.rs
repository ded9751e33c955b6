//! The pages that every daemon has (observability.md section 4): one file each.
//! They show what they are handed; a page that needs knowledge of topics is its daemon's own.

mod log_level;
mod logs;
mod memory;
mod metrics;
mod root;
mod rpcz;
mod threads;
mod varz;

use std::sync::Arc;

use futures::future::BoxFuture;

use super::{Document, Page, Readiness, Site};
use crate::flags::Flags;
use crate::logging::Logging;
use crate::metrics::Source;

pub use rpcz::{NoRpcs, RpcMethod, RpcServer, RpcStatistics};

/// Answers with a document that is not known yet.
pub type DocumentSource = Arc<dyn Fn() -> BoxFuture<'static, Document> + Send + Sync>;

/// What the base pages show.
pub struct BasePages {
    /// For `/varz`.
    pub flags: Arc<Flags>,
    /// For `/logs` and `/log_level`.
    pub logging: Logging,
    /// Of `--version`; for `/`.
    pub version: String,
    /// For the metrics pages; see [`crate::metrics::with_system`].
    pub metrics: Source,
    /// For `/rpcz`.
    pub rpcs: Arc<dyn RpcStatistics>,
    /// More fields of `/`, such as `statestore_active_status`.
    pub front: DocumentSource,
    /// For `/healthz`.
    pub ready: Readiness,
}

impl BasePages {
    /// Adds all of them to a site.
    pub fn register(self, site: &Site) {
        site.add(root::page(self.version, self.front));
        site.add(Page::health(self.ready));
        metrics::pages(&self.metrics)
            .into_iter()
            .for_each(|page| site.add(page));
        site.add(varz::page(self.flags.clone()));
        if self.logging.has_files() {
            let bytes = self.flags.i64("web_log_bytes").max(0).unsigned_abs();
            site.add(logs::page(self.logging.clone(), bytes));
        }
        log_level::pages(&self.logging)
            .into_iter()
            .for_each(|page| site.add(page));
        site.add(memory::page(self.metrics));
        threads::pages().into_iter().for_each(|page| site.add(page));
        rpcz::pages(&self.rpcs)
            .into_iter()
            .for_each(|page| site.add(page));
        site.add(
            Page::document("/profile_docs", |_| async {
                document([(
                    "profile_docs",
                    "Daemons of this kind have no query profiles.".into(),
                )])
            })
            .in_navbar(),
        );
    }
}

fn document<const N: usize>(fields: [(&str, serde_json::Value); N]) -> Document {
    fields
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect()
}
