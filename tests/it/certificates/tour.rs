//! The README's tour of certificates, run as it stands against a server with TLS.

use crate::support::{Options, Server, Store};
use crate::tour::{Step, repository, steps, walk};

both_stores!(certificates);

/// What the server shows at first is taken, then come the function `gql` of the first tour and the tour.
async fn certificates(store: Store) {
    let readme = repository().join("README.md");
    let text = std::fs::read_to_string(&readme).unwrap();
    let mut all: Vec<Step> = steps(&text, "tour: certificates trust");
    all.extend(steps(&text, "tour").into_iter().take(1));
    let tour = steps(&text, "tour: certificates");
    assert!(all.len() > 1 && !tour.is_empty(), "README.md has no tour of certificates");
    all.extend(tour);
    let server = Server::start(store, Options { tls: true, ..Options::default() }).await;
    walk(&server, &readme, &all, &[]);
}
