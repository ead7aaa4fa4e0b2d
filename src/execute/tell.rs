//! Words to the client while its statement runs.

use crate::base::Notice;
use crate::upstream::Link;
use crate::wire::notice;

/// Sends notices to the client at once, as far as its `client_min_messages` lets it hear them.
pub async fn tell(link: &mut Link, notices: &[Notice]) {
    let mut out = Vec::new();
    for one in notices.iter().filter(|one| one.severity >= link.least) {
        notice::encode(one, &mut out);
    }
    if !out.is_empty() {
        link.tell(&out).await;
    }
}
