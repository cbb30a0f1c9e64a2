"""Name resolution, TCP and TLS, and ports that are none of DICOM: the road before DICOM begins."""

from __future__ import annotations

from typing import Final

from dicomfab.diagnosis.checks import Stage
from dicomfab.diagnosis.products import Setting
from dicomfab.diagnosis.rules import Rule, Who

_FAILED: Final = "Connection failed"
_NOT_SECURE: Final = "Secure connection failed"
_CHECKLIST: Final = (
    "Check server address and port. Verify network connectivity. Ensure firewall allows DICOM traffic. "
    "Check if server is running."
)
_NOT_PLAIN_TLS: Final = "tls-not-tls|tls-closed|tls-silent|tls-else"

RULES: Final[tuple[Rule, ...]] = (
    # ------------------------------------------------------------------ our entry, the name
    Rule(
        "entry-inactive",
        Stage.ENTRY,
        {"entry": "inactive"},
        "Switched off in our registry",
        "{name} is marked as inactive, so no work is offered to it.",
        "If it is in use, switch it on: dicomfab pacs edit {id} --active",
        Who.US,
        91,
    ),
    Rule(
        "name-unknown",
        Stage.NAME,
        {"name": "name-unknown"},
        _FAILED,
        "The host name {host} is not known: it is misspelt, or this machine's DNS does not have it.",
        "Check server address and port. Ask for the server's IP address and try that: "
        "dicomfab pacs edit {id} --host ADDRESS",
        Who.US,
        95,
    ),
    Rule(
        "name-no-answer",
        Stage.NAME,
        {"name": "name-timeout"},
        _FAILED,
        "This machine could not look up the host name {host}: its DNS server does not answer.",
        "Verify network connectivity of this machine. The server's IP address works without DNS: "
        "dicomfab pacs edit {id} --host ADDRESS",
        Who.NETWORK,
        85,
        tells="Any other name is looked up as slowly: getent hosts {host}",
    ),
    # ------------------------------------------------------------------ TCP
    Rule(
        "tcp-refused",
        Stage.TCP,
        {"tcp": "refused", "tcp.neighbours": "none|-"},
        _FAILED,
        "Nothing listens on port {port} of {host}: the server is not running, or its DICOM port is another one.",
        _CHECKLIST,
        Who.ADMINISTRATOR,
        80,
        tells="Ask the administrator: is the DICOM service started, and on which port does it listen? "
        "Usual ones are 104 and 11112; the web port is another one.",
        reference="PS3.8 9.1",
    ),
    Rule(
        "tcp-refused-one-port",
        Stage.TCP,
        {"tcp": "refused", "tcp.neighbours": "alive"},
        _FAILED,
        "The machine {host} is up ({fact:tcp.alive}), and nothing listens on port {port}: this server's DICOM "
        "service is stopped, or its port is another one.",
        "Check if server is running. Check server address and port with its administrator.",
        Who.ADMINISTRATOR,
        92,
        reference="PS3.8 9.1",
    ),
    Rule(
        "tcp-refused-all-ports",
        Stage.TCP,
        {"tcp": "refused", "tcp.neighbours": "dead"},
        _FAILED,
        "The machine {host} refuses the ports of all its servers that we know: all of them are stopped, or the address "
        "now belongs to another machine.",
        "Check if server is running. Check server address and port with its administrator.",
        Who.ADMINISTRATOR,
        85,
        reference="PS3.8 9.1",
    ),
    Rule(
        "tcp-no-answer",
        Stage.TCP,
        {"tcp": "no-answer", "tcp.neighbours": "none|-"},
        _FAILED,
        "{host} does not answer on port {port}, not even by a refusal: a firewall drops the traffic, the machine is "
        "off, or the address is wrong.",
        _CHECKLIST,
        Who.NETWORK,
        75,
        tells="Is the machine on, and is this its address? If so, ask for the firewall to be opened from {our_host} "
        "to {host}, TCP port {port}.",
    ),
    Rule(
        "tcp-no-answer-one-port",
        Stage.TCP,
        {"tcp": "no-answer", "tcp.neighbours": "alive"},
        _FAILED,
        "The machine {host} is up ({fact:tcp.alive}), and port {port} does not answer: a firewall drops the traffic "
        "to this port.",
        "Ensure firewall allows DICOM traffic: from {our_host} to {host}, TCP port {port}.",
        Who.NETWORK,
        90,
    ),
    Rule(
        "tcp-no-answer-all-ports",
        Stage.TCP,
        {"tcp": "no-answer", "tcp.neighbours": "dead"},
        _FAILED,
        "No server that we know on {host} answers: the machine is off, its address has changed, or a firewall drops "
        "all traffic to it.",
        _CHECKLIST,
        Who.NETWORK,
        85,
    ),
    Rule(
        "tcp-unreachable",
        Stage.TCP,
        {"tcp": "unreachable"},
        _FAILED,
        "This machine has no way to {host}: no route, or the network is down.",
        "Verify network connectivity: cable, VPN, routing. Check server address and port.",
        Who.NETWORK,
        85,
    ),
    # ------------------------------------------------------------------ TLS or not
    Rule(
        "tls-expected",
        Stage.TLS,
        {"association.code": "tls-expected"},
        _NOT_SECURE,
        "The server answers in TLS on port {port}, and our entry calls it without.",
        "Switch TLS on: dicomfab pacs edit {id} --tls",
        Who.US,
        97,
        reference="PS3.15 B.12",
    ),
    Rule(
        "tls-port",
        Stage.TLS,
        {"tls.speaks": "yes"},
        _NOT_SECURE,
        "Port {port} speaks TLS, and our entry calls it without.",
        "Switch TLS on: dicomfab pacs edit {id} --tls",
        Who.US,
        95,
        reference="PS3.15 B.12",
    ),
    Rule(
        "tls-not-offered",
        Stage.TLS,
        {"tls": _NOT_PLAIN_TLS, "tls.plain": "yes"},
        _NOT_SECURE,
        "Our entry calls the server with TLS, and port {port} is for associations without TLS.",
        "Ask the administrator for the port of DICOM over TLS (often 2762). If there is none and the network is safe "
        "without, switch TLS off: dicomfab pacs edit {id} --no-tls",
        Who.US,
        95,
    ),
    Rule(
        "tls-neither",
        Stage.TLS,
        {"tls": _NOT_PLAIN_TLS, "tls.plain": "no"},
        _NOT_SECURE,
        "Port {port} of {host} speaks neither TLS nor DICOM without it: it is the port of something else, or the "
        "server hangs.",
        "Check server address and port with the administrator.",
        Who.ADMINISTRATOR,
        75,
        tells="The server's own log shows whether our calls arrive there at all.",
    ),
    # ------------------------------------------------------------------ certificates
    Rule(
        "tls-our-files",
        Stage.TLS,
        {"tls": "our-files"},
        _NOT_SECURE,
        "A file of our own TLS settings for {name} cannot be used.",
        "See what was seen above; put the file right, or name another: dicomfab pacs edit {id} --help",
        Who.US,
        97,
    ),
    Rule(
        "tls-expired",
        Stage.TLS,
        {"tls": "tls-expired"},
        _NOT_SECURE,
        "The server's certificate has expired.",
        "Have it renewed. If it should still be valid, check the date of this machine.",
        Who.ADMINISTRATOR,
        97,
    ),
    Rule(
        "tls-not-yet-valid",
        Stage.TLS,
        {"tls": "tls-not-yet-valid"},
        _NOT_SECURE,
        "The server's certificate is not valid yet: the clock of this machine is behind, or the certificate is wrong.",
        "Check the date of this machine; then have the certificate checked.",
        Who.US,
        90,
    ),
    Rule(
        "tls-self-signed",
        Stage.TLS,
        {"tls": "tls-self-signed"},
        _NOT_SECURE,
        "The server shows a certificate that it signed itself, and we have not been told to trust that one.",
        "Get the certificate from the administrator, compare its fingerprint by telephone, then: "
        "dicomfab pacs edit {id} --tls-ca-file FILE",
        Who.US,
        95,
    ),
    Rule(
        "tls-unknown-issuer",
        Stage.TLS,
        {"tls": "tls-unknown-issuer"},
        _NOT_SECURE,
        "The server's certificate was signed by an authority that we do not trust.",
        "Get that authority's certificate as a PEM file, then: dicomfab pacs edit {id} --tls-ca-file FILE",
        Who.US,
        95,
    ),
    Rule(
        "tls-other-name",
        Stage.TLS,
        {"tls": "tls-other-name|tls-name-refused"},
        _NOT_SECURE,
        "The server's certificate is for another name than {host}.",
        "Ask the administrator for a name that the certificate holds, and use it as host, or: "
        "dicomfab pacs edit {id} --tls-server-name NAME",
        Who.US,
        95,
    ),
    Rule(
        "tls-bad-certificate",
        Stage.TLS,
        {"tls": "tls-weak|tls-unacceptable"},
        _NOT_SECURE,
        "The server's certificate, or the chain that it sends with it, is not acceptable: too weak, or with a mistake.",
        "Have a new certificate made: RSA of 2048 bits or more, or an elliptic curve, signed with SHA-256.",
        Who.ADMINISTRATOR,
        92,
    ),
    Rule(
        "tls-certificate-demanded",
        Stage.TLS,
        {"tls": "tls-certificate-demanded"},
        _NOT_SECURE,
        "The server lets in only those who show a certificate, and our entry has none to show.",
        "Have one issued for this machine by an authority that the server trusts, then: "
        "dicomfab pacs edit {id} --tls-certificate-file FILE --tls-key-file FILE",
        Who.US,
        95,
    ),
    Rule(
        "tls-certificate-perhaps-demanded",
        Stage.TLS,
        {"tls": "tls-refused|tls-closed-afterwards"},
        _NOT_SECURE,
        "The server hangs up during or right after the TLS handshake: most likely it demands a certificate of us, and "
        "our entry has none.",
        "Ask the administrator whether callers need a certificate. If so: "
        "dicomfab pacs edit {id} --tls-certificate-file FILE --tls-key-file FILE",
        Who.US,
        70,
        tells="The server's log says why it hung up.",
    ),
    Rule(
        "tls-our-certificate",
        Stage.TLS,
        {"tls": "tls-our-certificate"},
        _NOT_SECURE,
        "The server does not accept our certificate: it does not trust who signed it, or it has expired.",
        "Have the authority that signed our certificate trusted there, or have one issued by an authority that it "
        "trusts.",
        Who.ADMINISTRATOR,
        92,
    ),
    Rule(
        "tls-nothing-in-common",
        Stage.TLS,
        {"tls": "tls-nothing-in-common"},
        _NOT_SECURE,
        "The server knows only old versions of TLS, or none of the ciphers that the standard asks for today.",
        "Have TLS 1.2 or 1.3 switched on at the server.",
        Who.ADMINISTRATOR,
        90,
        reference="PS3.15 B.12",
    ),
    # ------------------------------------------------------------------ ports that are none of DICOM
    Rule(
        "port-http",
        Stage.ASSOCIATION,
        {"association.speaks": "HTTP"},
        _FAILED,
        "Port {port} is a web port: it answers in HTTP.",
        "Check server address and port: the DICOM port is another one than that of the web page.",
        Who.US,
        97,
    ),
    Rule(
        "port-hl7",
        Stage.ASSOCIATION,
        {"association.speaks": "HL7"},
        _FAILED,
        "Port {port} is an HL7 port: it answers in HL7.",
        "Check server address and port: DICOM and HL7 have ports of their own.",
        Who.US,
        97,
    ),
    Rule(
        "port-other-service",
        Stage.ASSOCIATION,
        {"association.speaks": "!HTTP|HL7|-"},
        _FAILED,
        "Port {port} belongs to another service: it answers in {fact:association.speaks}.",
        "Check server address and port with the administrator.",
        Who.US,
        96,
    ),
    Rule(
        "port-not-dicom",
        Stage.ASSOCIATION,
        {"association.code": "not-dicom", "tls.speaks": "no|-"},
        _FAILED,
        "What answers on port {port} is not DICOM.",
        "Check server address and port with the administrator.",
        Who.US,
        85,
    ),
    Rule(
        "port-hangs-up",
        Stage.ASSOCIATION,
        {"association": "closed-unanswered|reset-unanswered", "tls.speaks": "no"},
        _FAILED,
        "The server takes the connection and hangs up without a word: it allows no connections from {our_host}, or "
        "the port is not a DICOM port.",
        "Have the address {our_host} allowed at the server, and check server address and port.",
        Who.ADMINISTRATOR,
        65,
        settings=(Setting.KNOW_US,),
        tells="The server's log at this moment, or its list of allowed addresses. If our call does not show there, "
        "a device in between hangs up.",
    ),
    Rule(
        "port-silent",
        Stage.ASSOCIATION,
        {"association": "timeout-association", "tls.speaks": "no"},
        _FAILED,
        "The server takes the connection and never answers: it hangs, or the port is not a DICOM port (an HL7 port "
        "waits like that).",
        "Check server address and port. If they are right, have the server restarted.",
        Who.ADMINISTRATOR,
        60,
        tells="Does the server answer others at this moment? Then the port is another service's; else it hangs.",
    ),
)
