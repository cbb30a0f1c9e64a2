"""A real Active Directory domain: Samba as its controller, on an address of its own, with people and groups in it.

For a test module::

    pytestmark = [pytest.mark.peers, pytest.mark.allow_hosts(ALLOWED_HOSTS)]
    controller = controller_fixture()

    def test_somebody_signs_in(controller):
        directory = LdapDirectory(controller.settings())
        assert directory.authenticate("anna", password_of("anna"), GROUPS).groups == {"DF-Admin"}

Active Directory's ports cannot be chosen, so every controller has an address of its own in 127.0.77.0/24.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import socket
import ssl
import subprocess
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ldap3
import pytest
import trustme
from ldap3.utils.dn import escape_rdn

from dicomfab.identity.ldap import LdapServer, LdapSettings

ALLOWED_HOSTS = ["127.0.0.0/8", "::1", "localhost"]
DOMAIN, DNS_DOMAIN, BASE = "LAB", "lab.example", "DC=lab,DC=example"
SERVICE = "svc-df"
ADMINISTRATOR, ADMINISTRATOR_PASSWORD = f"Administrator@{DNS_DOMAIN}", "Gr4nite-and-h0ney"
HOSTILE_NAME = 'Jörg O\'Neß, "PACS" (Nacht)* \\ #7 +<;=>'
GROUPS = ("DF-Admin", "DF-TestRead", "DF-TestWrite", "DF-ProdRead", "DF-ProdWrite")
LDAP, LDAPS = 389, 636
_CLAIMED = 6360  # whoever listens here has the address
_PROGRAMS = ("samba", "samba-tool")
_SEARCH_PATH = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/bin"))
_START_S, _STOP_S, _PROVISION_S = 30.0, 10.0, 120.0
# Values of userAccountControl (MS-ADTS 2.2.16).
_NORMAL, _DISABLED, _NO_PASSWORD_YET, _FOR_EVER = 0x200, 0x202, 0x220, 0x10200
LONG_AGO = 130_000_000_000_000_000  # December 2012 in units of 100 ns since 1601

_CONFIGURATION = """[global]
netbios name = DC1
realm = {realm}
workgroup = {domain}
server role = active directory domain controller
server services = ldap, kdc
# Without the length of the prefix, Samba finds no interface and listens nowhere.
interfaces = {address}/8
bind interfaces only = yes
disable netbios = yes
ldap server require strong auth = yes
tls enabled = yes
tls cafile = {folder}/tls/ca.pem
tls certfile = {folder}/tls/controller.crt
tls keyfile = {folder}/tls/controller.key
private dir = {folder}/private
state directory = {folder}/state
cache directory = {folder}/cache
lock directory = {folder}/lock
pid directory = {folder}/run
ncalrpc dir = {folder}/ncalrpc
binddns dir = {folder}/private
log file = {folder}/samba.log
[sysvol]
path = {folder}/sysvol
read only = no
[netlogon]
path = {folder}/sysvol/{dns}/scripts
read only = no
"""


def password_of(name: str) -> str:
    """The password that somebody of this domain has from the beginning."""
    return f"{name.capitalize()} grows 7 tulips"


def missing() -> str:
    """Why no controller can run here; empty if one can."""
    if os.geteuid() != 0:
        return "a domain controller listens on ports below 1024: run as root"
    absent = [name for name in _PROGRAMS if not shutil.which(name, path=_SEARCH_PATH)]
    if not absent and not Path("/usr/share/samba/setup").is_dir():
        absent = ["samba-ad-provision"]
    return f"{', '.join(absent)} not installed: run tools/debian_peers.sh" if absent else ""


def dn(name: str) -> str:
    """The distinguished name of a user or group with this common name."""
    return f"CN={escape_rdn(name)},CN=Users,{BASE}"


@dataclass(slots=True)
class Administrator:
    """Changes the domain by LDAPS as its administrator would; closed with the block."""

    connection: ldap3.Connection = field(repr=False)

    def __enter__(self) -> Administrator:
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.unbind()

    def change(self, name: str, **attributes: object) -> None:
        """Replace attributes; ``name`` is a common name, or the domain itself if it is blank."""
        where = dn(name) if name else BASE
        self.connection.modify(where, {key: [(ldap3.MODIFY_REPLACE, [value])] for key, value in attributes.items()})

    def add_group(self, name: str, *, account: str = "", folder: str = "", **attributes: object) -> str:
        """A security group; ``folder`` is where to put it, such as ``OU=X,DC=lab,DC=example``; gives its whole name."""
        where = f"CN={escape_rdn(name)},{folder}" if folder else dn(name)
        self.connection.add(where, ["group"], {"sAMAccountName": account or name, **attributes})
        return where

    def add_folder(self, name: str) -> str:
        """An organizational unit; gives its whole name."""
        where = f"OU={escape_rdn(name)},{BASE}"
        self.connection.add(where, ["organizationalUnit"])
        return where

    def add_user(
        self, name: str, *, common_name: str = "", groups: Sequence[str] = (), password: str = "", **attributes: object
    ) -> str:
        """Somebody who may sign in unless the attributes say otherwise; gives the whole name."""
        where, standing = dn(common_name or name), attributes.pop("userAccountControl", _NORMAL)
        known = {
            "sAMAccountName": name,
            "userPrincipalName": f"{name}@{DNS_DOMAIN}",
            "displayName": common_name or name,
        }
        self.connection.add(where, ["user"], {**known, "userAccountControl": _NO_PASSWORD_YET, **attributes})
        self.set_password(common_name or name, password or password_of(name))
        self.change(common_name or name, userAccountControl=standing)
        for group in groups:
            self.add_member(group, common_name or name)
        return where

    def add_member(self, group: str, member: str) -> None:
        """Put a user or a group, by common name, into a group."""
        self.connection.modify(dn(group), {"member": [(ldap3.MODIFY_ADD, [dn(member)])]})

    def remove_member(self, group: str, member: str) -> None:
        """Take a user or a group out of a group."""
        self.connection.modify(dn(group), {"member": [(ldap3.MODIFY_DELETE, [dn(member)])]})

    def disable(self, name: str) -> None:
        """Let somebody sign in no more."""
        self.change(name, userAccountControl=_DISABLED)

    def enable(self, name: str) -> None:
        """Let somebody sign in again."""
        self.change(name, userAccountControl=_NORMAL)

    def remove(self, name: str) -> None:
        """Delete a user or a group."""
        self.connection.delete(dn(name))

    def rename(self, name: str, other: str) -> None:
        """Give a user or a group another common name."""
        self.connection.modify_dn(dn(name), f"CN={escape_rdn(other)}")

    def set_password(self, name: str, password: str) -> None:
        """Set a password without knowing the former one (MS-ADTS 3.1.1.3.1.5.1)."""
        self.change(name, unicodePwd=f'"{password}"'.encode("utf-16-le"))

    def lock_after(self, attempts: int, for_s: float) -> None:
        """How many wrong passwords lock an account, and for how long; 0 is never."""
        span = str(-int(for_s * 10_000_000))
        # Counting may not go on for longer than locking: both in one change.
        self.change("", lockoutThreshold=attempts, lockoutDuration=span, lockOutObservationWindow=span)

    def unlock(self, name: str) -> None:
        """End a lock."""
        self.change(name, lockoutTime=0)

    def read(self, name: str, attribute: str) -> Any:
        """An attribute of a user or a group; none if it has no value."""
        self.connection.search(dn(name), "(objectClass=*)", ldap3.BASE, attributes=[attribute])
        values = self.connection.response[0]["raw_attributes"].get(attribute)
        return values[0] if values else None

    def wrong_passwords(self, name: str) -> int:
        """How many wrong passwords the controller has counted for somebody."""
        return int(self.read(name, "badPwdCount") or 0)


class DomainController:
    """A controller that runs, and what is needed to talk to it.

    Args:
        folder: holds its database, which is there already.
        address: where it listens.
    """

    base, domain, dns_domain = BASE, DOMAIN, DNS_DOMAIN
    account, password = f"{SERVICE}@{DNS_DOMAIN}", password_of(SERVICE)

    def __init__(self, folder: Path, address: str) -> None:
        self.folder = folder
        self.address = address
        self.authority = trustme.CA(organization_name="Lab")
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def ca_file(self) -> str:
        """The certificate of whom its own was signed by."""
        return str(self.folder / "tls" / "ca.pem")

    def server(self, *, start_tls: bool = False) -> LdapServer:
        """Where it is."""
        return LdapServer(self.address, LDAP if start_tls else LDAPS, start_tls=start_tls)

    def settings(self, *servers: LdapServer, **changes: Any) -> LdapSettings:
        """How to ask it; ``servers`` stands for itself if none are given."""
        usual = {"base": BASE, "account": self.account, "password": self.password, "ca_file": self.ca_file}
        return LdapSettings(servers=servers or (self.server(),), **{**usual, "refusal_s": 0.0, **changes})

    def administrator(self) -> Administrator:
        """A connection as administrator, for a ``with`` block."""
        # By name: from Python 3.12 on, ldap3 compares certificates itself, and knows no addresses.
        tls = ldap3.Tls(validate=ssl.CERT_REQUIRED, ca_certs_file=self.ca_file, valid_names=[f"dc1.{DNS_DOMAIN}"])
        server = ldap3.Server(self.address, LDAPS, use_ssl=True, tls=tls, get_info=ldap3.NONE, connect_timeout=5)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "ssl.match_hostname", DeprecationWarning)
            connection = ldap3.Connection(
                server, ADMINISTRATOR, ADMINISTRATOR_PASSWORD, auto_bind=True, raise_exceptions=True,
                receive_timeout=20, check_names=False, auto_referrals=False,
            )  # fmt: skip
        return Administrator(connection)

    def certify(self, *names: str, **validity: Any) -> None:
        """Give it a new certificate, for its own address unless names are given; it is used from the next start."""
        made = self.authority.issue_cert(*(names or (f"dc1.{DNS_DOMAIN}", self.address)), **validity)
        folder = self.folder / "tls"
        folder.mkdir(exist_ok=True)
        self.authority.cert_pem.write_to_path(str(folder / "ca.pem"))
        made.cert_chain_pems[0].write_to_path(str(folder / "controller.crt"))
        key = folder / "controller.key"
        made.private_key_pem.write_to_path(str(key))
        key.chmod(0o600)  # Samba reads no other

    def smuggle(self, name: str, attribute: str, value: str) -> None:
        """Write what the controller would refuse, as two controllers may do to each other at the same moment."""
        program = (
            "import glob, ldb, sys\n"
            "folder, dn, attribute, value = sys.argv[1:]\n"
            "[path] = [path for path in glob.glob(folder + '/*.ldb') if '/DC' in path]\n"
            "database = ldb.Ldb(path)\n"
            "message = ldb.Message(ldb.Dn(database, dn))\n"
            "message[attribute] = ldb.MessageElement(value, ldb.FLAG_MOD_REPLACE, attribute)\n"
            "database.modify(message)\n"
        )
        place = str(self.folder / "private" / "sam.ldb.d")
        # Samba's own Python, which its modules are for.
        command = ["/usr/bin/python3", "-c", program, place, dn(name), attribute, value]
        subprocess.run(command, check=True, timeout=_PROVISION_S)

    def start(self) -> None:
        """Run it until :meth:`stop`; it is up when it answers on its port for LDAPS."""
        _write_configuration(self.folder, self.address)
        arguments = ["samba", "--interactive", "--debug-stdout", "--model=single", "--no-process-group"]
        arguments += [f"--configfile={self.folder}/smb.conf", "--debuglevel=1"]
        with (self.folder / "said.txt").open("ab") as log:
            # It ends with us: when its input does.
            self._process = subprocess.Popen(
                arguments, stdin=subprocess.PIPE, stdout=log, stderr=log, env=_environment(self.folder),
                start_new_session=True,
            )  # fmt: skip
        end = time.monotonic() + _START_S
        while not _listens(self.address):
            if self._process.poll() is not None or time.monotonic() > end:
                self.stop()
                raise RuntimeError((self.folder / "said.txt").read_text(errors="replace")[-3000:])
            time.sleep(0.05)

    def stop(self) -> None:
        """End it."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(_STOP_S)
        if process.stdin is not None:
            with contextlib.suppress(OSError):
                process.stdin.close()


@contextmanager
def domain_controller(folder: Path, *, seed: Path | None = None) -> Iterator[DomainController]:
    """A controller until the block ends, with people and groups in its domain. Where none can run: a visible skip.

    Args:
        folder: for its database; empty.
        seed: where a database to begin with is kept, or to be kept, for other controllers: that saves some seconds.
    """
    why_not = missing()
    if why_not:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(why_not)
    with _address() as address:
        if seed is None:
            _provide(folder, address)
        else:
            _restore(seed, folder, address)
        controller = DomainController(folder, address)
        controller.certify()
        controller.start()
        try:
            yield controller
        finally:
            controller.stop()


def controller_fixture(scope: str = "module") -> Callable[..., Iterator[DomainController]]:
    """A fixture that is a controller for a module, or for what else the scope says."""

    @pytest.fixture(scope=scope, name="controller")
    def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DomainController]:
        folder = tmp_path_factory.mktemp("domain-controller")
        with domain_controller(folder, seed=shared_seed(tmp_path_factory)) as controller:
            yield controller

    return made


def shared_seed(factory: pytest.TempPathFactory) -> Path:
    """Where all processes of this test run keep the database to begin with."""
    base = factory.getbasetemp()
    return (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "domain-controller-seed"


@contextmanager
def _address() -> Iterator[str]:
    """An address that nobody else on this machine has a controller on, in this test run or another one."""
    for number in range(1, 255):
        try:
            claimed = socket.create_server((f"127.0.77.{number}", _CLAIMED))
        except OSError:
            continue
        with claimed:
            if _listens(f"127.0.77.{number}"):
                continue  # one that is ending, or was left behind
            yield f"127.0.77.{number}"
            return
    raise RuntimeError("no address is left for a domain controller")


def _restore(seed: Path, folder: Path, address: str) -> None:
    seed.parent.mkdir(parents=True, exist_ok=True)
    with seed.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not seed.exists():
            unfinished = seed.with_suffix(".new")
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir()
            _provide(unfinished, address)
            unfinished.rename(seed)
    # Its sockets cannot be copied; it makes new ones.
    shutil.copytree(seed, folder, symlinks=True, dirs_exist_ok=True, ignore=shutil.ignore_patterns("ldapi"))


def _provide(folder: Path, address: str) -> None:
    """Make a new domain in an empty folder, and fill it."""
    for name in ("private", "state", "cache", "lock", "run", "ncalrpc", "sysvol"):
        (folder / name).mkdir()
    _write_configuration(folder, address)
    command = ["samba-tool", "domain", "provision", f"--configfile={folder}/smb.conf", "--server-role=dc"]
    # Its own DNS would need port 53, and nobody asks it.
    command += ["--dns-backend=NONE", f"--realm={DNS_DOMAIN.upper()}", f"--domain={DOMAIN}", "--host-name=dc1"]
    command += [f"--host-ip={address}", f"--adminpass={ADMINISTRATOR_PASSWORD}"]
    done = subprocess.run(
        command, env=_environment(folder), stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=_PROVISION_S, check=False,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"samba-tool: {(done.stdout + done.stderr)[-3000:]}")
    controller = DomainController(folder, address)
    controller.certify()
    controller.start()
    try:
        with controller.administrator() as administrator:
            _fill(administrator)
    finally:
        controller.stop()


def _fill(domain: Administrator) -> None:
    domain.change("", pwdProperties=0, minPwdAge=0, maxPwdAge=0)
    domain.lock_after(0, 60)
    for group in (*GROUPS, "Team-PACS", "Team-PACS-Night"):
        domain.add_group(group)
    domain.add_member("DF-TestWrite", "Team-PACS")
    domain.add_member("Team-PACS", "Team-PACS-Night")
    domain.add_user(SERVICE, userAccountControl=_FOR_EVER)
    domain.add_user("anna", groups=["DF-Admin"])
    domain.add_user("ben", groups=["DF-TestRead"])
    domain.add_user("carla", groups=["Team-PACS", "DF-ProdRead"])
    domain.add_user("nils", groups=["Team-PACS-Night"])
    domain.add_user("paula", groups=["DF-ProdWrite"])
    domain.add_user("joerg", common_name=HOSTILE_NAME, groups=["DF-TestRead"])
    domain.add_user("nogroup")
    domain.add_user("locked", groups=["DF-TestRead"])
    domain.add_user("disabled", groups=["DF-TestRead"], userAccountControl=_DISABLED)
    domain.add_user("expired", groups=["DF-TestRead"], accountExpires=LONG_AGO)
    domain.add_user("mustchange", groups=["DF-TestRead"])
    domain.change("mustchange", pwdLastSet=0)


def _write_configuration(folder: Path, address: str) -> None:
    told = {"folder": folder, "address": address, "domain": DOMAIN, "dns": DNS_DOMAIN, "realm": DNS_DOMAIN.upper()}
    (folder / "smb.conf").write_text(_CONFIGURATION.format(**told))


def _environment(folder: Path) -> dict[str, str]:
    return {**os.environ, "PATH": _SEARCH_PATH, "KRB5_CONFIG": f"{folder}/private/krb5.conf"}


def _listens(address: str) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex((address, LDAPS)) == 0
