//! The rows of certificates, in the order of their life. `<ca>`, `<serial>`, `<request>` and `<enrollment>` are what rows before have made.

use super::{NOT_FOUND, Right, Row, Want, any, area, change, open, row};

pub fn all() -> Vec<Row> {
    let mut rows = authorities();
    rows.extend(issue());
    rows.extend(approval());
    rows.extend(queries());
    rows.extend(ends());
    rows
}

fn authorities() -> Vec<Row> {
    let mine = |field, query| area("certificates", field, query);
    vec![
        mine(
            "Mutation.createRootCa",
            "mutation { createRootCa(input: {commonName: \"M Root\", makeDefault: true}) { certificate { serialNumber } } }",
        ),
        mine(
            "Mutation.createIntermediateCa",
            "mutation { createIntermediateCa(input: {commonName: \"M Issuing\", issuerSerialNumber: \"<ca>\"}) { certificate { serialNumber } } }",
        ),
        mine(
            "Mutation.requestIntermediateCa",
            "mutation { requestIntermediateCa(input: {commonName: \"M Below\"}) { requestId csrPem } }",
        ),
        mine(
            "Mutation.completeIntermediateCa",
            "mutation { completeIntermediateCa(input: {requestId: \"<request>\", certificatePem: \"<below>\", chainPem: \"<outside>\"}) { certificate { serialNumber } } }",
        ),
        mine(
            "Mutation.requestIntermediateCa",
            "mutation { requestIntermediateCa(input: {commonName: \"M Given Up\"}) { requestId csrPem } }",
        ),
        mine("Query.intermediateCaRequests", "{ intermediateCaRequests { nodes { requestId csrPem } } }"),
        mine("Query.node", "{ node(id: \"intermediate_ca_request:<request>\") { id } }"),
        mine(
            "Mutation.cancelIntermediateCaRequest",
            "mutation { cancelIntermediateCaRequest(input: {requestId: \"<request>\"}) { requestId } }",
        ),
        mine(
            "Mutation.importCa",
            "mutation { importCa(input: {certificatePem: \"<outside>\", privateKeyPem: \"<outside_key>\"}) { certificate { serialNumber } } }",
        ),
        mine(
            "Mutation.updateCertificateAuthority",
            "mutation { updateCertificateAuthority(input: {serialNumber: \"<ca>\", isDefault: true}) { authority { isDefault } } }",
        ),
        mine(
            "Mutation.putCertificateRole",
            "mutation { putCertificateRole(input: {path: \"m.pki\", certTypes: [SERVER], allowedDomains: [\"m.example\"], allowBareDomains: true}) { role { path } } }",
        ),
        mine(
            "Mutation.putCertificateRole",
            "mutation { putCertificateRole(input: {path: \"m.slow\", certTypes: [SERVER], allowedDomains: [\"m.example\"], allowBareDomains: true, requiresApproval: true}) { role { path id } } }",
        ),
    ]
}

fn issue() -> Vec<Row> {
    let mine = |field, query| area("certificates", field, query);
    vec![
        change(
            "issue",
            "Mutation.signCertificate",
            "mutation { signCertificate(input: {role: \"m.pki\", certType: SERVER, csrPem: \"<csr>\"}) { certificate { serialNumber } } }",
        ),
        change(
            "issue",
            "Mutation.issueCertificate",
            "mutation { issueCertificate(input: {role: \"m.pki\", certType: SERVER, commonName: \"m.example\"}) { certificate { serialNumber } } }",
        ),
        mine(
            "Mutation.signCertificate",
            "mutation { signCertificate(input: {certType: ADMIN_CLIENT, csrPem: \"<csr>\"}) { certificate { serialNumber } } }",
        ),
        mine(
            "Mutation.issueCertificate",
            "mutation { issueCertificate(input: {certType: ADMIN_CLIENT, commonName: \"m\"}) { certificate { serialNumber id } } }",
        ),
        // without a client certificate on the connection nobody gets further
        open(
            "Mutation.loginWithCertificate",
            "mutation { loginWithCertificate { accessor } }",
            Want::Code("UNAUTHENTICATED"),
            Want::Code("SEALED"),
        ),
        Row {
            granted: Want::Code("FORBIDDEN"),
            ..any(
                "Mutation.renewCertificate",
                "mutation { renewCertificate(input: {csrPem: \"<csr>\"}) { certificate { serialNumber } } }",
            )
        },
    ]
}

fn approval() -> Vec<Row> {
    let ask = "mutation { signCertificate(input: {role: \"m.slow\", certType: SERVER, csrPem: \"<csr>\"}) { enrollment { enrollmentId id } } }";
    let decide = |field, query| area("certificates", field, query);
    vec![
        change("issue", "Mutation.signCertificate", ask),
        decide(
            "Mutation.approveEnrollment",
            "mutation { approveEnrollment(input: {enrollmentId: \"<enrollment>\"}) { enrollment { state } } }",
        ),
        change("issue", "Mutation.signCertificate", ask),
        decide(
            "Mutation.denyEnrollment",
            "mutation { denyEnrollment(input: {enrollmentId: \"<enrollment>\"}) { enrollment { state } } }",
        ),
    ]
}

fn queries() -> Vec<Row> {
    use Right::{Area, Operation};
    let mine = Area("certificates");
    let role = "{ certificateRole(path: \"m.pki\") { path } }";
    let role_node = "{ node(id: \"<certificate_role_node>\") { id ... on CertificateRole { path } } }";
    vec![
        row("Query.certificate", "{ certificate(serialNumber: \"<serial>\") { subject } }", mine, Want::Null),
        // those of authorities are no secret
        any("Query.certificate", "{ certificate(serialNumber: \"<ca>\") { subject } }"),
        row("Query.certificates", "{ certificates { nodes { subject } } }", mine, Want::Empty),
        any("Query.authorities", "{ authorities { nodes { id isDefault } } }"),
        any(
            "Query.node",
            "{ node(id: \"<authority_node>\") { id ... on CertificateAuthority { isDefault } } }",
        ),
        any("Query.certificateAuthorities", "{ certificateAuthorities { isDefault } }"),
        Row { lister: Some(Want::Ok), ..row("Query.certificateRole", role, Operation("issue"), Want::Null) },
        row("Query.certificateRole", role, mine, Want::Null),
        area("certificates", "Query.certificateRoles", "{ certificateRoles { nodes { path } } }"),
        row("Query.enrollment", "{ enrollment(enrollmentId: \"<enrollment>\") { state } }", mine, Want::Null),
        row("Query.enrollments", "{ enrollments { nodes { state } } }", mine, Want::Empty),
        row("Query.node", "{ node(id: \"<certificate_node>\") { id } }", mine, Want::Null),
        row("Query.node", "{ node(id: \"<enrollment_node>\") { id } }", mine, Want::Null),
        row("Query.node", role_node, mine, Want::Null),
        Row { lister: Some(Want::Ok), ..row("Query.node", role_node, Operation("issue"), Want::Null) },
    ]
}

fn ends() -> Vec<Row> {
    let revoke =
        "mutation { revokeCertificate(input: {serialNumber: \"<serial>\"}) { certificate { revoked } } }";
    let delete = "mutation { deleteCertificateRole(input: {path: \"m.pki\"}) { path } }";
    vec![
        row("Mutation.revokeCertificate", revoke, Right::Area("certificates"), NOT_FOUND),
        area("certificates", "Mutation.deleteCertificateRole", delete),
    ]
}
