//! A node: the local store with a Larder above it.

use std::sync::Arc;
use std::time::Duration;

use larder_base::{Clock, Error, ErrorKind, Result};
use larder_cache::{Node, NodeOptions, Tiers, Upstream};
use larder_remote::{HttpClient, Policy, UpstreamTier};
use tracing::{info, warn};

use crate::config::Config;

/// Bytes of what a node fetched that are proved later, at most; an eighth of the quota if that is less.
const UNPROVED_MAX: u64 = 4 << 30;

/// Puts a node over the local store, if an upstream is configured, with the client by which it asks above. Reads the spool that
/// an earlier process left.
///
/// # Errors
/// [`ErrorKind::Invalid`] for a malformed address, token or scope; those of the store.
pub async fn node(
    config: &Config,
    local: &Tiers,
    quota: u64,
    clock: &Arc<dyn Clock>,
) -> Result<Option<(Node, UpstreamTier)>> {
    let Some(server) = config.upstream.server()? else { return Ok(None) };
    let token = Some(config.upstream.token.0.as_str()).filter(|token| !token.is_empty());
    // A client waits for each answer, and what does not come is not needed: one further try, for a connection that was kept
    // too long.
    let policy = Policy {
        tries: 2,
        total: Duration::from_secs(4),
        idle: Duration::from_secs(10),
        connect: Duration::from_secs(2),
        first_pause: Duration::from_millis(50),
    };
    let (mut seed, mut first_plan) = ([0; 8], [0; 8]);
    getrandom::fill(&mut seed)
        .and_then(|()| getrandom::fill(&mut first_plan))
        .map_err(|error| Error::new(ErrorKind::Failed, "start node", format!("no random bytes: {error}")))?;
    let above = UpstreamTier::new(HttpClient::new(policy, u64::from_le_bytes(seed)), server, token)?;
    let url = above.url().to_string();
    let tier = Arc::new(above.clone());
    let tiers = Upstream { blobs: tier.clone(), entries: tier.clone(), bulk: tier };
    let options = NodeOptions {
        spool_max: config.upstream.spool_entries as usize,
        touch_every: config.store.retention.0 / 4,
        unproved_max_bytes: UNPROVED_MAX.min(quota / 8),
        random: u64::from_le_bytes(first_plan),
    };
    let node = Node::open(local.clone(), tiers, clock.clone(), options).await?;
    let waiting = node.status().spool_entries;
    info!(upstream = url, waiting, "this is a node");
    if token.is_none() {
        warn!("the node has no token for the upstream; one is needed unless everyone may write there");
    }
    Ok(Some((node, above)))
}
