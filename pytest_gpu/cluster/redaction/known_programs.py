"""Passwords in command lines: what programs take after ``-p``, ``-u`` and the like.

Flags that name a secret, such as ``--token``, are known by their name; short flags mean a secret
only for some programs: ``-p`` is a port for ssh, and a folder's parents for mkdir.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pytest_gpu.cluster.redaction.secret_names import (
    is_harmless,
    is_secret_flag,
    is_vague,
    looks_secret,
)
from pytest_gpu.evidence import REDACTED

_USER = ("-u", "--user", "--proxy-user", "-U")
_IDS = re.compile(r"\d*+:\d*+")
_ENDS = frozenset({"|", "||", "&&", ";", "&"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Flags:
    """The flags of a program that a secret follows: as the next word, or in the same.

    ``login`` says that they mean so only if the command is ``login``.
    """

    next: tuple[str, ...] = ()
    same: tuple[str, ...] = ()
    login: bool = False


_MYSQL = Flags(same=("-p",))
_LOGIN = Flags(next=("-p",), same=("-p",), login=True)
_SMALL_P = Flags(next=("-p",), same=("-p",))
_LARGE_P = Flags(next=("-P",), same=("-P",))
_LDAP = Flags(next=("-w", "-y"), same=("-w",))
_SAMBA = Flags(next=("-U",), same=("-U",))
_SNMP = Flags(next=("-A", "-X", "-c"))

PROGRAMS = {
    **dict.fromkeys(("mysql", "mysqldump", "mysqladmin", "mysqlimport", "mysqlsh"), _MYSQL),
    **dict.fromkeys(("mariadb", "mariadb-dump", "mariadb-admin", "7z", "7za", "7zr"), _MYSQL),
    **dict.fromkeys(("docker", "podman", "nerdctl", "helm", "oras", "crane", "skopeo"), _LOGIN),
    **dict.fromkeys(("buildah", "regctl", "az", "oc", "argocd"), _LOGIN),
    **dict.fromkeys(("sshpass", "mongo", "mongosh", "mongodump", "mongorestore"), _SMALL_P),
    **dict.fromkeys(("rabbitmqadmin", "ncftp", "ftp-upload"), _SMALL_P),
    **dict.fromkeys(("sqlcmd", "bcp", "ipmitool", "mosquitto_pub", "mosquitto_sub"), _LARGE_P),
    **dict.fromkeys(("unzip", "zip"), _LARGE_P),
    **dict.fromkeys(("ldapsearch", "ldapmodify", "ldapadd", "ldapdelete", "ldapwhoami"), _LDAP),
    **dict.fromkeys(("smbclient", "rpcclient"), _SAMBA),
    **dict.fromkeys(("snmpget", "snmpwalk", "snmpset", "snmpbulkwalk"), _SNMP),
    **dict.fromkeys(("ssh", "scp", "sftp", "rsync"), Flags()),  # started by sshpass
    "redis-cli": Flags(next=("-a",)),
    "openssl": Flags(next=("-pass", "-passin", "-passout", "-k", "-K")),
    "curl": Flags(next=("-b", "-U", "-u"), same=("-u",)),
    "vault": Flags(next=("login",)),
}


def hide_words(words: Sequence[str]) -> Iterator[str]:
    """Yield the words of a command line; a secret is replaced, what names it stays."""
    flags, before, login = Flags(), "", False
    for word in words:
        program = word[max(map(word.rfind, "/=(")) + 1 :]
        if program in PROGRAMS:
            flags, login = PROGRAMS[program], False
        elif word in _ENDS:
            flags = Flags()
        login = login or word == "login"
        active = flags if login or not flags.login else Flags()
        yield _hidden(word, before, active)
        before = word


def _hidden(word: str, before: str, flags: Flags) -> str:
    if before in flags.next and word and not word.startswith("-"):
        return REDACTED if ":" in word or before not in _USER or "%" in word else word
    if is_secret_flag(before) and word and not word.startswith("-"):
        return word if is_harmless("", word) or _is_other(before, word) else REDACTED
    if before in _USER and ":" in word and not _IDS.fullmatch(word):
        return REDACTED
    for flag in flags.same:
        if word.startswith(flag) and len(word) > len(flag) and _is_value(flag, word):
            return flag + REDACTED
    return _after_equals(word)


def _is_other(flag: str, word: str) -> bool:
    """Return whether this is the next argument, and the flag only a switch."""
    return is_vague(flag.lstrip("-")) and not looks_secret(word)


def _is_value(flag: str, word: str) -> bool:
    return flag not in _USER or ":" in word or "%" in word


def _after_equals(word: str) -> str:
    name, equals, value = word.partition("=")
    if name in _USER and ":" in value and not _IDS.fullmatch(value):
        return f"{name}{equals}{REDACTED}"
    return word
