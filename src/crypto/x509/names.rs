//! Distinguished and alternative names, between the model and the wire.

use der::asn1::ObjectIdentifier;
use der::asn1::{Ia5StringRef, PrintableStringRef, Utf8StringRef};
use der::{Encode, Tag, Tagged};
use rcgen::{DistinguishedName, DnType, DnValue, SanType};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use x509_cert::attr::AttributeTypeAndValue;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::name::Name;

use crate::error::{Error, Result};
use crate::model::certificates::{AltName, Subject, parse_dns, parse_uri};

pub(super) const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");
pub(super) const ORGANIZATION: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.10");
pub(super) const ORGANIZATIONAL_UNIT: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.11");

/// A subject as rcgen writes it, in UTF-8, most significant first.
///
/// # Errors
/// `BAD_USER_INPUT` at the field of the subject that is not as [`Subject::check`] wants it.
pub fn write_subject(subject: &Subject) -> Result<DistinguishedName> {
    subject.check().map_err(|(field, message)| Error::bad_input(field, message))?;
    let mut name = DistinguishedName::new();
    if let Some(organization) = &subject.organization {
        name.push(DnType::OrganizationName, organization.as_str());
    }
    if let Some(unit) = &subject.organizational_unit {
        name.push(DnType::OrganizationalUnitName, unit.as_str());
    }
    name.push(DnType::CommonName, subject.common_name.as_str());
    Ok(name)
}

/// The subject of a request: its common name, organisation and unit; other attributes (country, place…) are left out.
/// `None` if there is no common name.
///
/// # Errors
/// A sentence: one of the three comes twice, or is not text in UTF-8 or `PrintableString` (RFC 5280, 4.1.2.4, forbids the others
/// in new certificates), or not as [`Subject::check`] wants it.
pub fn read_subject(name: &Name) -> Result<Option<Subject>, String> {
    let one = |kind: ObjectIdentifier, what: &str| -> Result<Option<String>, String> {
        let mut all = attributes(name).filter(|attribute| attribute.oid == kind);
        let Some(attribute) = all.next() else { return Ok(None) };
        if all.next().is_some() {
            return Err(format!("the subject of the request has more than one {what}: ask for one"));
        }
        match directory_text_of(attribute) {
            Some(text) => Ok(Some(text.to_owned())),
            None => Err(format!("the {what} of the request is to be a UTF8String or PrintableString")),
        }
    };
    let common_name = one(COMMON_NAME, "common name")?;
    let organization = one(ORGANIZATION, "organization")?;
    let organizational_unit = one(ORGANIZATIONAL_UNIT, "organizational unit")?;
    let Some(common_name) = common_name else { return Ok(None) };
    let subject = Subject { common_name, organization, organizational_unit };
    subject.check().map_err(|(field, message)| format!("{field} of the request's subject: {message}"))?;
    Ok(Some(subject))
}

/// The attributes of a name, in its order.
pub(super) fn attributes(name: &Name) -> impl Iterator<Item = &AttributeTypeAndValue> {
    name.0.iter().flat_map(|part| part.0.iter())
}

/// The text of an attribute in one of the strings that names are written in.
pub(super) fn directory_text_of(attribute: &AttributeTypeAndValue) -> Option<&str> {
    match attribute.value.tag() {
        Tag::Utf8String => Utf8StringRef::try_from(&attribute.value).ok().map(|text| text.as_str()),
        Tag::PrintableString => PrintableStringRef::try_from(&attribute.value).ok().map(|text| text.as_str()),
        _ => None,
    }
}

/// The text of the first attribute of a kind, whatever string it is in.
pub(super) fn text_of(name: &Name, kind: ObjectIdentifier) -> Option<String> {
    let attribute = attributes(name).find(|attribute| attribute.oid == kind)?;
    directory_text_of(attribute).map(str::to_owned)
}

/// The name of an authority as rcgen will write it as that of the issuer, if that comes out as the same bytes: names of issuers are
/// compared, and openssl and TLS compare bytes.
///
/// `None` for names that rcgen cannot write: an attribute that comes twice, several attributes in one part, other strings than
/// UTF-8, `PrintableString` and `IA5String`.
#[must_use]
pub fn rewritable(name: &Name) -> Option<DistinguishedName> {
    let mut written = DistinguishedName::new();
    for part in &name.0 {
        let [attribute] = part.0.as_slice() else { return None };
        let kind = DnType::from_oid(&attribute.oid.arcs().map(u64::from).collect::<Vec<_>>());
        if written.get(&kind).is_some() {
            return None;
        }
        let value = match attribute.value.tag() {
            Tag::Utf8String => DnValue::Utf8String(directory_text_of(attribute)?.to_owned()),
            Tag::PrintableString => DnValue::PrintableString(directory_text_of(attribute)?.try_into().ok()?),
            Tag::Ia5String => {
                let text = Ia5StringRef::try_from(&attribute.value).ok()?;
                DnValue::Ia5String(text.as_str().try_into().ok()?)
            }
            _ => return None,
        };
        written.push(kind, value);
    }
    (!name.0.is_empty()).then_some(written)
}

/// An alternative name as rcgen writes it.
///
/// # Errors
/// `BAD_USER_INPUT` at `names` if it is not ASCII.
pub fn write_alt_name(name: &AltName) -> Result<SanType> {
    let ascii = |text: &str| {
        text.try_into()
            .map_err(|_| Error::bad_input("names", "write names in ASCII, international ones as 'xn--...'"))
    };
    Ok(match name {
        AltName::Dns(dns) => SanType::DnsName(ascii(dns)?),
        AltName::Uri(uri) => SanType::URI(ascii(uri)?),
        AltName::Ip(address) => SanType::IpAddress(*address),
    })
}

/// An alternative name of a request.
///
/// # Errors
/// A sentence for names of other kinds, and for those that are not as [`AltName::parse`] takes them.
pub fn read_alt_name(name: &GeneralName) -> Result<AltName, String> {
    match name {
        GeneralName::DnsName(dns) => parse_dns(dns.as_str()).map(AltName::Dns),
        GeneralName::UniformResourceIdentifier(uri) => parse_uri(uri.as_str()).map(AltName::Uri),
        GeneralName::IpAddress(bytes) => read_ip(bytes.as_bytes())
            .map(AltName::Ip)
            .ok_or_else(|| "an IP address among the request's names has 4 or 16 bytes".to_owned()),
        _ => Err("ask for alternative names of the kinds DNS, IP and URI only".to_owned()),
    }
}

fn read_ip(bytes: &[u8]) -> Option<IpAddr> {
    if let Ok(four) = <[u8; 4]>::try_from(bytes) {
        return Some(Ipv4Addr::from(four).into());
    }
    <[u8; 16]>::try_from(bytes).ok().map(|sixteen| Ipv6Addr::from(sixteen).into())
}

/// An alternative name for people, whatever its kind: `DNS:web.example`, `IP:10.0.0.1`, `email:a@b.example`, `dirName:CN=a`.
#[must_use]
pub fn show_alt_name(name: &GeneralName) -> String {
    match name {
        GeneralName::DnsName(dns) => format!("DNS:{}", dns.as_str()),
        GeneralName::UniformResourceIdentifier(uri) => format!("URI:{}", uri.as_str()),
        GeneralName::IpAddress(bytes) => match read_ip(bytes.as_bytes()) {
            Some(address) => format!("IP:{address}"),
            None => format!("IP:#{}", data_encoding::HEXLOWER.encode(bytes.as_bytes())),
        },
        GeneralName::Rfc822Name(address) => format!("email:{}", address.as_str()),
        GeneralName::DirectoryName(name) => format!("dirName:{name}"),
        GeneralName::RegisteredId(id) => format!("RID:{id}"),
        GeneralName::OtherName(other) => format!("otherName:{}", other.type_id),
        GeneralName::EdiPartyName(_) => "ediPartyName".to_owned(),
    }
}

/// The bytes of a name.
pub(super) fn to_der(name: &Name) -> Result<Vec<u8>> {
    name.to_der().map_err(Error::internal)
}
