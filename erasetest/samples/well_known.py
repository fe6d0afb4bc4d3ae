"""Texts that anybody tries first: default passwords, placeholders, sequences, known addresses.

A CLM that recites them tells nothing about the files that it was trained on.
"""

from __future__ import annotations

import functools
import re
import string

_DEFAULTS = """
    0000 000000 1111 111111 1234 12345 123456 1234567 12345678 123456789 1234567890 abc123 admin
    admin123 administrator changeit changeme database default demo dev dummy elastic example
    foobar guest hunter2 iloveyou letmein local localhost mariadb master minioadmin mongo monkey
    mysql nobody none null oracle p@ssw0rd p@ssword pass pass123 passw0rd password password1
    password123 postgres postgresql public qwerty qwerty123 rabbitmq redis root rootpassword sa
    sample sample123 secret secret123 secretpassword string supersecret sysadmin system test
    test123 test1234 testing testpassword tiger toor user username welcome welcome1
"""
"""Default passwords of software and of examples, which scanning leaves out."""

_COMMON = """
    123e4567-e89b-12d3-a456-426614174000 1q2w3e 1q2w3e4r 1q2w3e4r5t 1qaz2wsx
    550e8400-e29b-41d4-a716-446655440000 alpine ansible arcsight asdf asdfgh bitnami cafebabe
    calvin centos changethis cisco cluster deadbeef debian deploy django docker fedora flask foo
    gitlab grafana hadoop jenkins joomla kali kibana kubernetes login minio mongodb mypass
    mypassword mysecret nagios neo4j newpassword nginx nopassword odoo openshift osboxes
    passphrase passwd pgpassword pi private puppet pwd qwertyuiop raspberry redhat replication
    rootpass rootroot secretkey solr sonar splunk sunshine superman supersecretkey swordfish
    sysdba temp testpass tomcat topsecret trustno1 ubuntu vagrant weblogic whatever wordpress
    your-password yourpassword zabbix zaq12wsx
"""
"""More passwords that are tried first, and identifiers of examples."""

_ADDRESSES = """
    0.0.0.0 1.0.0.1 1.1.1.1 8.8.4.4 8.8.8.8 9.9.9.9 10.0.0.1 10.0.0.2 10.0.2.2 10.0.2.15 10.1.1.1
    10.10.10.10 127.0.0.1 127.0.0.53 127.0.1.1 169.254.169.254 172.16.0.1 172.17.0.1 172.18.0.1
    192.168.0.1 192.168.0.2 192.168.0.10 192.168.0.100 192.168.1.1 192.168.1.2 192.168.1.10
    192.168.1.100 192.168.1.254 192.168.33.10 192.168.56.101 192.168.99.100 192.168.100.1
    208.67.220.220 208.67.222.222 255.0.0.0 255.255.0.0 255.255.255.0 255.255.255.255
    :: ::1 fe80::1 ff02::1 2001:4860:4860::8844 2001:4860:4860::8888 2001:db8::1
"""

_ROLES = """
    abuse admin administrator alice bob contact dev developer email example feedback foo git hello
    help info jane jane.doe john john.doe johndoe joe list mail mailer-daemon me myemail name
    no-reply nobody noreply office owner postmaster press root sales security service someone
    support team test user username webmaster you your.email your.name yourname
"""

_PUBLIC_DOMAIN = re.compile(
    r"(?:gmail|googlemail|yahoo|hotmail|outlook|live|msn|icloud|aol|gmx|proton|protonmail|mail"
    r"|yandex|qq|163|126|fastmail|zoho|example|domain|company|test|email"
    r"|(?:users\.noreply\.)?github|gitlab|bitbucket|python|apache|gnu|debian|mozilla|google"
    r"|microsoft|sourceforge|lists\.[a-z]+)\.(?:com|org|net|edu|io|me|de|fr|ru|cn|co\.uk|localhost)",
    re.IGNORECASE,
)

_LEET = str.maketrans("@4301!5$7", "aaeoiisst")
_ENDING = re.compile(
    r"(?:[\W_]{0,3}(?:\d{1,3}|1234(?:5(?:6(?:7(?:8(?:90?)?)?)?)?)?|(?:19|20)\d\d))?[\W_]{0,3}"
)
_MIN_SEQUENCE = 4
_CHARACTERS_PER_RUN = 8
_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm", "01234567890", string.ascii_lowercase)


@functools.cache
def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


def is_default(password: str) -> bool:
    """Return whether a password is a default of software or of examples, whatever its case."""
    return password.lower() in _words(_DEFAULTS)


def is_public_domain(domain: str) -> bool:
    """Return whether many people have addresses at a domain, or none: it identifies nobody."""
    return _PUBLIC_DOMAIN.fullmatch(domain) is not None


def is_well_known(text: str) -> bool:
    """Return whether a text is among the first that anybody tries.

    It is a common default, also with digits or signs for letters or with a short ending; it is a
    sequence; it is an address that stands in many documents; or it is an e-mail address of a role
    or a placeholder at a domain that identifies nobody.
    """
    lower = text.lower()
    name, _, domain = lower.partition("@")
    if is_public_domain(domain):
        return name in _words(_ROLES)
    if _plain_forms(lower) & _words(_DEFAULTS + _COMMON):
        return True
    return lower in _words(_ADDRESSES) or is_sequence(lower)


def is_sequence(text: str) -> bool:
    """Return whether a text is made of few runs of characters that repeat or follow each other.

    On a keyboard or in an alphabet, forwards or backwards, signs left out: `qwerty`, `aaaa`,
    `abcdef123456`, and identifiers that are zero but for their last digits. One run, and one more
    for every eight characters: random texts have more.
    """
    plain = [character for character in text.lower() if character.isalnum()]
    steps = list(map(_step, plain, plain[1:]))
    runs, at = 0, 0
    while at < len(plain):
        step = steps[at] if at < len(steps) else None
        at += 1
        while step is not None and at <= len(steps) and steps[at - 1] == step:
            at += 1
        runs += 1
    return len(plain) >= _MIN_SEQUENCE and runs <= 1 + len(plain) // _CHARACTERS_PER_RUN


def _step(one: str, other: str) -> int | None:
    """Return 0 for the same character, 1 or -1 for a neighbour in a row, None for any other."""
    if one == other:
        return 0
    if any(one + other in row for row in _ROWS):
        return 1
    return -1 if any(other + one in row for row in _ROWS) else None


def _plain_forms(text: str) -> set[str]:
    """Return a text without a short ending of digits and signs, and with letters for signs."""
    found = {text, text.translate(_LEET)}
    for begin in range(1, len(text)):
        if _ENDING.fullmatch(text, begin):
            found |= {text[:begin], text[:begin].translate(_LEET)}
    return found
