//! Lists of authorities, and of those that wait for a signature from outside.

use super::outside::Outside;
use super::scene::Scene;
use crate::support::{Store, text};
use serde_json::{Value, json};

both_stores!(requests_of_authorities, listed);

/// Authorities page by page in both directions, and each by its id.
async fn listed(store: Store) {
    let scene = Scene::plain(store).await;
    for name in ["One", "Two", "Three"] {
        scene.new_root(json!({ "commonName": name }), "made").await;
    }
    let selection = "{ pageInfo { hasNextPage hasPreviousPage startCursor endCursor } edges { cursor node { id isDefault certificate { subject } } } }";
    let forward = format!("query($c: String) {{ authorities(first: 2, after: $c) {selection} }}");
    let backward = format!("query($c: String) {{ authorities(last: 2, before: $c) {selection} }}");
    let all = scene.server.as_root("{ certificateAuthorities { id } }", json!({})).await.ok();
    let all: Vec<_> =
        all["certificateAuthorities"].as_array().unwrap().iter().map(|one| one["id"].clone()).collect();
    assert_eq!(all.len(), 5, "those and the scene's own two");
    for (query, more, edge) in
        [(&forward, "hasNextPage", "endCursor"), (&backward, "hasPreviousPage", "startCursor")]
    {
        let (mut found, mut pages, mut cursor) = (Vec::new(), 0, Value::Null);
        loop {
            let page = scene.server.as_root(query, json!({ "c": cursor })).await.ok()["authorities"].clone();
            let edges = page["edges"].as_array().unwrap().clone();
            let at = if more == "hasNextPage" { found.len() } else { 0 };
            found.splice(at..at, edges.iter().map(|edge| edge["node"]["id"].clone()));
            pages += 1;
            if page["pageInfo"][more] == json!(false) {
                break;
            }
            cursor = page["pageInfo"][edge].clone();
        }
        assert_eq!((pages, &found), (3, &all));
    }
    let node = "query($id: ID!) { node(id: $id) { id ... on CertificateAuthority { isDefault certificate { subject } } } }";
    let one = scene.server.as_root(node, json!({ "id": all[3] })).await.ok();
    assert_eq!(
        one["node"],
        json!({ "id": all[3], "isDefault": false, "certificate": { "subject": "CN=Two" } })
    );
    let leaf = json!({ "id": "certificate_authority:0190163d-8694-739b-aea5-966c26f8ad91" });
    assert!(scene.server.as_root(node, leaf).await.ok()["node"].is_null());
    let wrong = scene.server.as_root(&forward, json!({ "c": "x" })).await;
    assert_eq!((wrong.code(), wrong.field()), (Some("BAD_USER_INPUT"), Some("after")));
}

/// What waits for an outside signature can be found again, page by page, and given up.
async fn requests_of_authorities(store: Store) {
    let scene = Scene::plain(store).await;
    let outside = Outside::new();
    let mut asked = Vec::new();
    for name in ["One", "Two", "Three"] {
        let request = format!(
            "mutation {{ requestIntermediateCa(input: {{commonName: \"{name}\", organization: \"O\", keyType: EC_P384}}) {{ requestId csrPem }} }}"
        );
        let made = scene.server.as_root(&request, json!({})).await.ok();
        asked.push(made["requestIntermediateCa"].clone());
    }
    let list = "query($after: String) { intermediateCaRequests(first: 2, after: $after) { pageInfo { hasNextPage endCursor } nodes {
        id requestId commonName organization organizationalUnit keyType csrPem requestedBy createdAt expiresAt } } }";
    let page = scene.server.as_root(list, json!({})).await.ok();
    let cursor = text(&page, "/intermediateCaRequests/pageInfo/endCursor");
    let rest = scene.server.as_root(list, json!({ "after": cursor })).await.ok();
    assert_eq!(page["intermediateCaRequests"]["pageInfo"]["hasNextPage"], json!(true));
    assert_eq!(rest["intermediateCaRequests"]["pageInfo"]["hasNextPage"], json!(false));
    let nodes = |page: &Value| page["intermediateCaRequests"]["nodes"].as_array().unwrap().clone();
    let found = [nodes(&page), nodes(&rest)].concat();
    for (asked, found) in asked.iter().zip(&found) {
        assert_eq!((&found["requestId"], &found["csrPem"]), (&asked["requestId"], &asked["csrPem"]));
        assert_eq!((&found["organization"], &found["keyType"]), (&json!("O"), &json!("EC_P384")));
    }
    assert_eq!((found.len(), &found[2]["commonName"]), (3, &json!("Three")));

    let cancel = "mutation($id: ID!) { cancelIntermediateCaRequest(input: {requestId: $id}) { requestId } }";
    let second = json!({ "id": asked[1]["requestId"] });
    scene.server.as_root(cancel, second.clone()).await.ok();
    scene.server.as_root(cancel, second).await.refused("NOT_FOUND");
    let node = "query($id: ID!) { node(id: $id) { ... on IntermediateCaRequest { commonName } } }";
    let kept = scene.server.as_root(node, json!({ "id": found[0]["id"] })).await.ok();
    assert_eq!(kept["node"]["commonName"], "One");
    assert!(scene.server.as_root(node, json!({ "id": found[1]["id"] })).await.ok()["node"].is_null());
    let names: Vec<_> = nodes(&scene.server.as_root(list, json!({})).await.ok())
        .iter()
        .map(|node| node["commonName"].clone())
        .collect();
    assert_eq!(names, ["One", "Three"]);
    // its certificate comes too late
    let complete = "mutation($input: CompleteIntermediateCaInput!) { completeIntermediateCa(input: $input) { certificate { serialNumber } } }";
    let signed = outside.sign_authority(text(&asked[1], "/csrPem"));
    let input = json!({"requestId": asked[1]["requestId"], "certificatePem": signed, "chainPem": outside.certificate});
    scene.server.as_root(complete, json!({ "input": input })).await.refused("NOT_FOUND");
    let events = "{ auditEvents(filter: {eventTypes: [\"certificate.ca_request_cancelled\"]}, first: 9) { nodes { eventData } } }";
    let events = scene.server.as_root(events, json!({})).await.ok();
    let events = events["auditEvents"]["nodes"].as_array().unwrap();
    assert_eq!((events.len(), &events[0]["eventData"]["common_name"]), (1, &json!("Two")));
}
