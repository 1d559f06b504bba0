//! Name constraints as certificates have them (RFC 5280, 4.2.1.10), read into those of the model.

use x509_cert::attr::AttributeTypeAndValue;
use x509_cert::ext::pkix::NameConstraints as Extension;
use x509_cert::ext::pkix::constraints::name::GeneralSubtree;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::name::Name;

use super::names;
use crate::model::certificates::{DirectoryName, IpSubtree, NameConstraints, Subtrees, directory_text};

/// `None` for a range of addresses that is none.
pub(super) fn read(extension: &Extension) -> Option<NameConstraints> {
    let mut constraints = NameConstraints::default();
    let lists = [
        (&extension.permitted_subtrees, &mut constraints.permitted),
        (&extension.excluded_subtrees, &mut constraints.excluded),
    ];
    let mut unusable = false;
    for (list, subtrees) in lists {
        for subtree in list.iter().flatten() {
            unusable |= subtree.minimum != 0 || subtree.maximum.is_some();
            add(subtree, subtrees)?;
        }
    }
    Some(NameConstraints { unusable, ..constraints })
}

fn add(subtree: &GeneralSubtree, to: &mut Subtrees) -> Option<()> {
    match &subtree.base {
        GeneralName::DnsName(name) => to.dns.push(name.as_str().to_ascii_lowercase()),
        GeneralName::UniformResourceIdentifier(host) => to.uris.push(host.as_str().to_ascii_lowercase()),
        GeneralName::IpAddress(bytes) => to.ips.push(IpSubtree::from_bytes(bytes.as_bytes())?),
        GeneralName::DirectoryName(name) => to.directories.push(directory(name)),
        // no certificate made here has a name of another form
        _ => {}
    }
    Some(())
}

fn directory(name: &Name) -> DirectoryName {
    let value = |attribute: &AttributeTypeAndValue| match names::directory_text_of(attribute) {
        Some(text) => directory_text(text),
        // of no kind of string that is written here, so it agrees with none
        None => format!("#{}", data_encoding::HEXLOWER.encode(attribute.value.value())),
    };
    let part = |attribute: &AttributeTypeAndValue| (attribute.oid.to_string(), value(attribute));
    let sorted = |mut parts: Vec<(String, String)>| {
        parts.sort_unstable();
        parts
    };
    name.0.iter().map(|set| sorted(set.0.iter().map(part).collect())).collect()
}
