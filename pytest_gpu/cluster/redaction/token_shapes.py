"""Secrets that are known by their shape, whatever stands beside them.

The shapes are those that the services document and that secret scanners look for, a little wider
where a service may add characters. Each shape has texts without which it cannot occur, so most
patterns never run, and each pattern begins at a boundary and never goes back: it takes linear time.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from pytest_gpu.evidence import REDACTED

_LINE_ENDS = "\r\n\v\f\x1c-\x1e\x85\u2028\u2029"
_UUID = r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}"


class Shape(NamedTuple):
    """A pattern of secrets; the groups ``name`` and ``end``, if any, stay around them.

    ``needles`` are texts in lower case; one of them is in every match.
    """

    pattern: re.Pattern[str]
    needles: tuple[str, ...]

    def redact(self, text: str) -> str:
        """Return text without secrets of this shape."""
        return self.pattern.sub(_replacement, text)


def redact_shapes(text: str) -> str:
    """Return text without the secrets whose shape is known; no line is added or lost."""
    lowered = text.lower()
    for at in sorted({at for needle, at in _NEEDLES if needle in lowered}):
        text = SHAPES[at].redact(text)
    return text


def _replacement(match: re.Match[str]) -> str:
    around = match.groupdict("")
    return f"{around.get('name', '')}{REDACTED}{around.get('end', '')}"


def _shape(pattern: str, *needles: str, flags: int = 0) -> Shape:
    return Shape(re.compile(pattern, flags), needles)


def _tokens(body: str, *prefixes: str) -> Shape:
    """Return the shape of tokens that begin with one of some prefixes, which patterns may be."""
    pattern = rf"(?<![A-Za-z0-9])(?:{'|'.join(prefixes)}){body}"
    return _shape(pattern, *(_literal(prefix) for prefix in prefixes))


def _literal(prefix: str) -> str:
    """Return the text that a prefix's pattern begins with."""
    return re.split(r"[\[\\(]", prefix.replace(r"\.", "."), maxsplit=1)[0].lower()


_WORDS = r"\w{16,}+"
_DASHED = r"[\w-]{16,}+"
_DOTTED = r"[\w.=-]{16,}+"
_BASE64 = r"[\w+/=-]{16,}+"
_HEX = r"[0-9a-fA-F]{24,}+"

_PREFIXED: tuple[Shape, ...] = (
    # GitHub, GitLab
    _tokens(_WORDS, "gh[pousr]_", "github_pat_"),
    _tokens(
        r"[\w.-]{16,}+",
        *("glpat-", "gldt-", "glrt-", "glptt-", "glcbt-", "glft-", "glimt-", "glagent-"),
        *("gloas-", "glsoat-", "glffct-", "GR1348941"),
    ),
    # AWS
    _shape(
        r"(?<![A-Za-z0-9])(?:A3T[A-Z0-9]|A(?:KIA|SIA|BIA|CCA|GPA|IDA|ROA|IPA|NPA|NVA))"
        r"[A-Z0-9]{16}(?![A-Za-z0-9])",
        *("a3t", "akia", "asia", "abia", "acca", "agpa", "aida", "aroa", "aipa", "anpa", "anva"),
    ),
    _tokens(r"[\w+/=%-]{32,}+", "ABSK", "FwoGZXIvYXdz", "IQoJb3JpZ2lu", "bedrock-api-key-"),
    _tokens(_UUID, r"amzn\.mws\."),
    # Google, Azure
    _tokens(r"[\w-]{30,}+", "AIza"),
    _tokens(r"[\w.-]{16,}+", r"ya29\.", "GOCSPX-", "1//0"),
    _shape(r"(?<![\w~.-])[\w~.]{3}\dQ~[\w~.-]{31,34}(?![\w~.-])", "q~"),
    # NVIDIA: NGC and its API catalogue; the older keys are base64 of this
    _tokens(_DASHED, "nvapi-"),
    _shape(rf"(?<![A-Za-z0-9])[a-z0-9]{{26}}:{_UUID}", ":"),
    # models: Hugging Face, OpenAI, Anthropic and others
    _tokens(r"[A-Za-z0-9]{20,}+", "hf_", "api_org_", "gsk_", "r8_", "xai-", "pplx-"),
    _shape(r"(?<![\w-])sk-(?=[a-z-]*+[0-9A-Z])[\w-]{20,}+", "sk-"),
    _tokens(_WORDS, "lsv2_pt_", "lsv2_sk_"),
    # registries and packages
    _tokens(_DASHED, "dckr_pat_", "dckr_oat_", "npm_", "pypi-AgE", "rubygems_", "SWMTKN-1-"),
    _shape(
        r"(?<![A-Za-z0-9])(?:AKCp[A-Za-z0-9]{10}|cmVmd)[A-Za-z0-9]{59}(?![\w])", "akcp", "cmvmd"
    ),
    # Slack and other messengers
    _tokens(r"[\w.-]{10,}+", "xox[abeoprs]-", "xapp-", r"xoxe\.xox[bp]-"),
    _shape(
        r"(?P<name>hooks\.slack\.com/(?:services|workflows|triggers)/"
        r"|discord(?:app)?\.com/api/webhooks/|\.webhook\.office\.com/webhookb2/)[\w@/+-]{16,}+",
        *("hooks.slack.com", "/webhooks/", "webhookb2"),
    ),
    _shape(r"(?<![\w:])\d{8,10}:AA[\w-]{33}(?![\w-])", ":aa"),
    # platforms
    _tokens(_HEX, "do[opr]_v1_", "dapi", "key-", "SK", "sntryu_", "pul-", "shp(?:at|ca|pa|ss)_"),
    _tokens(_WORDS, "(?:sk|rk)_(?:test|live|prod)_", "whsec_", "glsa_", "ntn_"),
    _tokens(_DOTTED, r"SG\.", r"dt0[cs]0[0-9]\.", r"dp\.(?:pt|st|ct|sa)\.", "pscale_[a-z]{2,5}_"),
    _tokens(_DASHED, "PMAK-", "lin_api_", "ATATT3", "NRAK-", "HRKU-", "tskey-", "nfp_", "pnu_"),
    _tokens(
        _BASE64, "sntrys_", "glc_", "fo1_", "fm[12][ar]?_", "ops_eyJ", "AGE-SECRET-KEY-1", "sha256~"
    ),
    _tokens(_DASHED, r"hv[sbr]\."),
    _shape(r"(?<![\w./-])s\.[A-Za-z0-9]{24}(?![\w.-])", "s."),
    _shape(r"(?<![A-Za-z0-9])[A-Za-z0-9]{14}\.atlasv1\.[\w=-]{30,}+", ".atlasv1."),
    # clusters: k3s and RKE2, kubeadm, MicroK8s, Rancher
    _shape(r"(?<![A-Za-z0-9])K10[0-9a-f]{16,}+::[^\s\"'\\]++", "k10"),
    _shape(
        r"(?<![\w./:@-])[a-z0-9]{6}\.(?=[a-z]*+[0-9])[a-z0-9]{16}(?![\w./:-])",
        *"0123456789",
    ),
    _shape(r"(?P<name>:25000/)[0-9a-f]{32}(?:/[0-9a-f]++)?+", ":25000/"),
    _shape(
        r"(?P<name>(?<![\w.-])(?:token-[a-z0-9]{5}|kubeconfig-u[\w.-]{1,40}+):)[a-z0-9]{40,}+",
        *("token-", "kubeconfig-u"),
    ),
)

_TOKENS: tuple[Shape, ...] = (
    # JWT, also those of service accounts; base64 of a compressed file hides anything
    _shape(
        r"(?<![A-Za-z0-9])e(?:yJ|yA|wo)[\w-]{5,}+\.[\w-]{5,}+(?:\.[\w-]*+)*+", "eyj", "eya", "ewo"
    ),
    _shape(r"(?<![\w+/])H4sI[\w+/-]{20,}+={0,2}", "h4si"),
    # hashes of passwords, as in /etc/shadow and htpasswd
    _shape(
        r"\$(?:1|2[abxy]?|5|6|7|y|gy|apr1|argon2id?)\$[\w./$=,+-]{20,}+",
        *("$1$", "$2", "$5$", "$6$", "$7$", "$y$", "$gy$", "$apr1$", "$argon2"),
    ),
    _shape(r"\{(?:SSHA|SHA|CRYPT|MD5|SSHA512)\}[\w+/=$.]{16,}+", "sha}", "crypt}", "md5}", "512}"),
)

_IN_URLS: tuple[Shape, ...] = (
    # user:password@; image digests are written with an @ too
    _shape(
        rf"(?P<name>(?<=\w)://)(?:[^\s/\"'`@{_LINE_ENDS}]++(?P<end>@)(?!sha(?:256|512):))++",
        "://",
    ),
    _shape(
        rf"(?P<name>(?<=\w)://)[^\s:/@\"'`{_LINE_ENDS}]*+:(?!\d++/)[^\s:@\"'`{_LINE_ENDS}]++"
        r"(?=@(?!sha(?:256|512):))",
        "://",
    ),
    # the same without a scheme: proxies, and databases in Go
    _shape(
        rf"(?P<name>proxy[\"']?[ \t]*+[:=][ \t]*+[\"']?)[^\s/:@\"'{_LINE_ENDS}]++:"
        rf"[^\s/@\"'{_LINE_ENDS}]++(?=@)",
        "proxy",
        flags=re.IGNORECASE,
    ),
    _shape(rf"(?<![\w.:-])[\w.-]++:[^\s@\"'{_LINE_ENDS}]++(?=@(?:tcp|udp|unix)\()", "@tcp(", "@u"),
    _shape(rf"(?P<name>(?<=thin:)[\w.-]++/)[^\s/@\"'{_LINE_ENDS}]++(?=@)", "thin:"),
    # signatures of signed URLs, such as Azure's
    _shape(
        r"(?P<name>(?:[?&;]|(?<!\w))(?:sig|signature)=)[\w%+/=~.-]{16,}+",
        *("sig=", "signature="),
        flags=re.IGNORECASE,
    ),
    # headers
    _shape(
        r"(?P<name>\b(?:Bearer|Negotiate|DPoP|NTLM)[ \t]++)(?=[a-z.~+/=_-]*+\d)[\w.~+/=-]{8,}+",
        *("bearer", "negotiate", "dpop", "ntlm"),
        flags=re.IGNORECASE,
    ),
    _shape(r"(?P<name>\bBasic[ \t]++)(?=[A-Za-z+/]*+[\d=])[\w+/]{8,}+={0,2}", "basic"),
)

SHAPES: Sequence[Shape] = (*_PREFIXED, *_TOKENS, *_IN_URLS)
_NEEDLES = tuple((needle, at) for at, shape in enumerate(SHAPES) for needle in shape.needles)
