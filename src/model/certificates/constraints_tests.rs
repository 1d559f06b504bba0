use super::*;

fn subtrees(dns: &[&str], ips: &[&str], uris: &[&str]) -> Subtrees {
    let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    Subtrees {
        dns: owned(dns),
        ips: ips.iter().map(|text| text.parse::<IpNet>().unwrap().into()).collect(),
        uris: owned(uris),
        directories: Vec::new(),
    }
}

fn constraints(permitted: Subtrees, excluded: Subtrees) -> NameConstraints {
    NameConstraints { permitted, excluded, unusable: false }
}

fn subject(common_name: &str) -> Subject {
    Subject { common_name: common_name.to_owned(), ..Subject::default() }
}

fn allowed(constraints: &NameConstraints, name: &str) -> bool {
    constraints.allow(&subject("x"), &[AltName::parse(name).unwrap()], false).is_ok()
}

#[test]
fn dns_names() {
    let narrow = constraints(subtrees(&["in.example"], &[], &[]), subtrees(&["no.in.example"], &[], &[]));
    for (name, fine) in [
        ("DNS:in.example", true),
        ("DNS:a.in.example", true),
        ("DNS:a.b.in.example", true),
        ("DNS:*.b.in.example", true),
        ("DNS:ain.example", false),
        ("DNS:out.example", false),
        ("DNS:example", false),
        ("DNS:in.example.net", false),
        ("DNS:no.in.example", false),
        ("DNS:a.no.in.example", false),
        ("DNS:ano.in.example", true),
        // stands for no.in.example, among others
        ("DNS:*.in.example", false),
        // of other forms
        ("IP:10.0.0.1", true),
        ("URI:https://out.example/", true),
    ] {
        assert_eq!(allowed(&narrow, name), fine, "{name}");
    }
    let dotted = constraints(subtrees(&[".in.example"], &[], &[]), Subtrees::default());
    for (name, fine) in [("DNS:in.example", false), ("DNS:a.in.example", true), ("DNS:*.in.example", true)] {
        assert_eq!(allowed(&dotted, name), fine, "{name}");
    }
    let nothing = constraints(Subtrees::default(), subtrees(&[""], &[], &[]));
    assert!(!allowed(&nothing, "DNS:a.example") && allowed(&nothing, "IP:::1"));
}

#[test]
fn addresses() {
    let narrow = constraints(
        subtrees(&[], &["10.0.0.0/8", "2001:db8::/32"], &[]),
        subtrees(&[], &["10.1.0.0/16"], &[]),
    );
    for (name, fine) in [
        ("IP:10.0.0.1", true),
        ("IP:10.1.0.1", false),
        ("IP:11.0.0.1", false),
        ("IP:2001:db8::1", true),
        ("IP:2001:db9::1", false),
        ("IP:::ffff:10.0.0.1", false),
        ("DNS:a.example", true),
    ] {
        assert_eq!(allowed(&narrow, name), fine, "{name}");
    }
    // only one family is permitted, which permits none of the other
    let four = constraints(subtrees(&[], &["0.0.0.0/0"], &[]), Subtrees::default());
    assert!(allowed(&four, "IP:1.2.3.4") && !allowed(&four, "IP:::1"));
    // a mask with a hole
    let odd = IpSubtree::from_bytes(&[10, 0, 0, 7, 255, 0, 0, 255]).unwrap();
    assert!(odd.holds("10.9.9.7".parse().unwrap()) && !odd.holds("10.9.9.8".parse().unwrap()));
    for length in [0, 4, 7, 9, 16, 33] {
        assert!(IpSubtree::from_bytes(&vec![0; length]).is_none(), "{length}");
    }
}

#[test]
fn uris() {
    let exact = constraints(subtrees(&[], &[], &["in.example"]), Subtrees::default());
    let below = constraints(subtrees(&[], &[], &[".in.example"]), Subtrees::default());
    for (name, of_exact, of_below) in [
        ("URI:https://in.example/x", true, false),
        ("URI:https://in.example:8443", true, false),
        ("URI:https://IN.example?q", true, false),
        ("URI:https://a.in.example/", false, true),
        ("URI:https://out.example/in.example", false, false),
        ("URI:https://in.example@out.example/", false, false),
        ("URI:https://in.example:x@out.example/", false, false),
        ("URI:https://10.0.0.1/", false, false),
        ("URI:https://[::1]/", false, false),
    ] {
        assert_eq!((allowed(&exact, name), allowed(&below, name)), (of_exact, of_below), "{name}");
    }
    let excluded = constraints(Subtrees::default(), subtrees(&[], &[], &[".in.example"]));
    assert!(
        allowed(&excluded, "URI:spiffe://in.example/x") && !allowed(&excluded, "URI:spiffe://a.in.example/x")
    );
    assert!(!allowed(&excluded, "URI:https://10.0.0.1/"));
}

#[test]
fn common_names_that_are_taken_for_dns_names() {
    let narrow = constraints(subtrees(&["in.example"], &[], &[]), Subtrees::default());
    let dns = [AltName::Dns("a.in.example".to_owned())];
    for (name, fine) in [
        ("a.in.example", true),
        ("A.IN.example", true),
        ("a.out.example", false),
        ("10.0.0.1", false),
        ("a_b.out.example", false),
        ("backup", true),
        ("Some Person", true),
        ("a@out.example", true),
        ("-a.out.example", true),
        ("a..out.example", true),
    ] {
        let alone = narrow.allow(&subject(name), &[], false);
        assert_eq!(
            alone.map_err(|broken| broken.field),
            if fine { Ok(()) } else { Err("commonName") },
            "{name}"
        );
        assert_eq!(narrow.allow(&subject(name), &dns, false), Ok(()), "{name} beside a DNS name");
        assert_eq!(narrow.allow(&subject(name), &[], true), Ok(()), "{name} of an authority");
    }
}

#[test]
fn directory_names() {
    let base = |organization: &str| vec![vec![("2.5.4.10".to_owned(), directory_text(organization))]];
    let permitted = Subtrees { directories: vec![base("Example  Inc")], ..Subtrees::default() };
    let narrow = constraints(permitted.clone(), Subtrees::default());
    let of = |organization: &str| Subject { organization: Some(organization.to_owned()), ..subject("x") };
    assert_eq!(narrow.allow(&of("example inc"), &[], true), Ok(()));
    for other in [of("Else"), subject("x")] {
        assert_eq!(narrow.allow(&other, &[], true).unwrap_err().field, "commonName");
    }
    let wide = constraints(Subtrees::default(), permitted);
    assert!(
        wide.allow(&of("Example Inc"), &[], false).is_err() && wide.allow(&of("Else"), &[], false).is_ok()
    );
}

#[test]
fn constraints_below_constraints() {
    let above = constraints(
        subtrees(&["in.example"], &["10.0.0.0/8"], &[]),
        subtrees(&["no.in.example"], &["10.1.0.0/16"], &[]),
    );
    for (dns, ip, at) in [
        ("in.example", "10.0.0.0/8", None),
        ("a.in.example", "10.2.0.0/16", None),
        ("example", "10.0.0.0/8", Some("permittedDnsDomains[0]")),
        ("x.no.in.example", "10.0.0.0/8", Some("permittedDnsDomains[0]")),
        ("in.example", "0.0.0.0/0", Some("permittedIpRanges[0]")),
        ("in.example", "10.1.2.0/24", Some("permittedIpRanges[0]")),
        ("in.example", "::/0", Some("permittedIpRanges[0]")),
    ] {
        let found = above.allow_below(&subtrees(&[dns], &[ip], &[]));
        assert_eq!(found.err().map(|(field, _)| field).as_deref(), at, "{dns} {ip}");
    }
    assert_eq!(above.allow_below(&Subtrees::default()), Ok(()));
    assert_eq!(NameConstraints::default().allow_below(&above.permitted), Ok(()));
}

#[test]
fn what_no_verifier_takes_allows_nothing() {
    let unusable = NameConstraints { unusable: true, ..NameConstraints::default() };
    assert!(unusable.allow(&subject("x"), &[], false).is_err());
}
