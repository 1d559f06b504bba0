"""Reads the X.509 vectors of the package cryptography_vectors (NIST PKITS among them) with the library cryptography, and prints what it
finds: one JSON object a line. The tests hold the server's own reading against it.

A line has the file's name, its kind (`request`, `certificate`, `other`), the DER in base64, and for what the library reads, its facts.
"""

import base64
import ipaddress
import json
import pathlib
import warnings

import cryptography_vectors
from cryptography import x509
from cryptography.x509.oid import NameOID

warnings.simplefilter("ignore")
FOLDER = pathlib.Path(cryptography_vectors.__file__).parent / "x509"


def blocks(data):
    """The DER of a file: of its first PEM block, or as it is."""
    if b"-----BEGIN" not in data:
        return data
    body = data.split(b"-----BEGIN", 1)[1].split(b"-----", 1)[1].split(b"-----END", 1)[0]
    lines = [line for line in body.splitlines() if b":" not in line]
    return base64.b64decode(b"".join(lines))


def alternative_names(found):
    try:
        names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    shown = []
    for name in names:
        if isinstance(name, x509.DNSName):
            shown.append("DNS:" + name.value)
        elif isinstance(name, x509.UniformResourceIdentifier):
            shown.append("URI:" + name.value)
        elif isinstance(name, x509.IPAddress) and isinstance(name.value, (ipaddress.IPv4Address, ipaddress.IPv6Address)):
            shown.append("IP:" + str(name.value))
        else:
            shown.append("other")
    return shown


def common_names(found):
    return [attribute.value for attribute in found.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]


def request_facts(der):
    found = x509.load_der_x509_csr(der)
    try:
        holds = found.is_signature_valid
    except Exception:
        holds = None
    return {"signature": holds, "commonNames": common_names(found), "names": alternative_names(found)}


def certificate_facts(der):
    found = x509.load_der_x509_certificate(der)
    facts = {
        "serial": "%x" % found.serial_number if found.serial_number >= 0 else None,
        "notBefore": int(found.not_valid_before_utc.timestamp()),
        "notAfter": int(found.not_valid_after_utc.timestamp()),
        "commonNames": common_names(found),
        "names": alternative_names(found),
        "isCa": False,
        "pathLength": None,
    }
    try:
        constraints = found.extensions.get_extension_for_class(x509.BasicConstraints).value
        facts["isCa"], facts["pathLength"] = constraints.ca, constraints.path_length
    except x509.ExtensionNotFound:
        pass
    return facts


def issued_by(der, issuer):
    """Whether one certificate is signed by the other, as the library sees it."""
    try:
        x509.load_der_x509_certificate(der).verify_directly_issued_by(x509.load_der_x509_certificate(issuer))
        return True
    except Exception:
        return False


def main():
    pkits = {}
    for path in sorted(FOLDER.rglob("*")):
        name = str(path.relative_to(FOLDER))
        if not path.is_file() or path.suffix not in (".pem", ".der", ".crt", ".crl"):
            continue
        try:
            der = blocks(path.read_bytes())
        except Exception:
            continue
        kind = "other"
        for wanted, read in (("request", request_facts), ("certificate", certificate_facts)):
            facts = None
            if (wanted == "request") == name.startswith("requests/"):
                kind = wanted if path.suffix != ".crl" else "other"
                try:
                    facts = read(der)
                except Exception:
                    facts = None
                break
        print(json.dumps({"file": name, "kind": kind, "der": base64.b64encode(der).decode(), "facts": facts}))
        if name.startswith("PKITS_data/certs/") and facts is not None:
            pkits[name] = der
    for name, der in pkits.items():
        issuer = x509.load_der_x509_certificate(der).issuer
        for other, above in pkits.items():
            if x509.load_der_x509_certificate(above).subject == issuer:
                print(json.dumps({"kind": "pair", "file": name, "issuer": other, "signed": issued_by(der, above)}))


main()
