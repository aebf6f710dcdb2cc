"""The secrets that are planted: names, tokens of services, and phrases such as command lines."""

from __future__ import annotations

import random
import re
import string
import uuid
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Secret:
    """A name and a value, and the parts of the value that may not survive."""

    name: str
    value: str
    parts: tuple[str, ...]


NAMES = """
password passwd passphrase PASSWORD DB_PASS db_pass dbPass smtp.pass PASS UserPass keystore-pass
storepass requirepass PW db_pw bindpw rootpw LDAP_BIND_PW MYSQL_PWD db-pwd userPwd PGPASSWORD
MYSQL_ROOT_PASSWORD GF_SECURITY_ADMIN_PASSWORD ssh_passphrase passcode
auth AUTH REGISTRY_AUTH basic_auth http-auth proxyAuth masterauth ARTIFACTORY_AUTH _authToken _auth
SESSION session SESSION_ID session-key PHPSESSID JSESSIONID SESSION_COOKIE cookie Set-Cookie
JWT jwt id_jwt ADMIN_JWT LICENSE license_key LICENSE_KEY licenseKey VGPU_LICENSE
APIKEY apikey apiKey api_key X-Api-Key NGC_API_KEY NVIDIA_API_KEY NGC_CLI_API_KEY OPENAI_APIKEY
WANDB_API_KEY token TOKEN K3S_TOKEN RKE2_TOKEN agent-token bootstrap_token joinToken HF_TOKEN
identitytoken registrytoken refresh_token accessToken aws_session_token csrf-token sasToken
X-Auth-Token X-Vault-Token PRIVATE-TOKEN X-Amz-Security-Token secret client_secret clientSecret
AZURE_CLIENT_SECRET TOTP_SECRET SECRET_KEY_BASE DJANGO_SECRET_KEY webhookSecret
AWS_SECRET_ACCESS_KEY aws_access_key_id encryptionKey signing-key private_key privateKey
PresharedKey AccountKey SharedAccessKey storage_account_key Ocp-Apim-Subscription-Key hmac_key
certificateKey SSH_KEY DEPLOY_KEYS CONNECTION_STRING connectionString SharedAccessSignature
credentials GCP_CREDS service-credential wifi_psk .dockerconfigjson
example.com/api-token vault.example.com/db-password registry/password team/app.secret
""".split()  # noqa: SIM905 - a table is easier to read

SHAPES = """
ghp_{a36} gho_{a36} ghu_{a36} ghs_{a36} ghr_{a36} github_pat_{a22}_{a59}
glpat-{a20} glpat-{a27}.01{a7} gldt-{a20} glrt-{a20} glptt-{h40} glcbt-64_{a20} glft-{a20}
glimt-{a25} glagent-{a50} gloas-{a64} glsoat-{a20} GR1348941{a20}
AKIA{u16} ASIA{u16} ABIA{u16} A3TX{u16} ABSK{a110}= amzn.mws.{uuid} IQoJb3JpZ2luX2Vj{a60}
AIza{a35} ya29.{a60} GOCSPX-{a28} 1//0{a40} abc8Q~{a34} nvapi-{a64} hf_{a34} api_org_{a34}
sk-proj-{a74}T3BlbkFJ{a74} sk-{a20}T3BlbkFJ{a20} sk-ant-api03-{a93}AA sk-ant-admin01-{a93}AA
sk-svcacct-{a74} gsk_{a52} r8_{a37} xai-{a80} pplx-{a48} lsv2_pt_{h32}_{h10}
npm_{a36} pypi-AgEIcHlwaS5vcmc{a60} rubygems_{h48} dckr_pat_{a27} dckr_oat_{a32}
SWMTKN-1-{a50}-{a25}
AKCp{a69} cmVmd{a59} xoxb-{d12}-{d12}-{a24} xoxp-{d12}-{d12}-{d12}-{h32} xoxa-2-{a20} xoxe-1-{u146}
xoxe.xoxp-1-{u163} xapp-1-{u11}-{d13}-{h64} {d9}:AA{a33}
https://hooks.slack.com/services/T{u8}/B{u8}/{a24}
https://discord.com/api/webhooks/{d18}/{a68}
dop_v1_{h64} doo_v1_{h64} dapi{h32} key-{h32} SK{h32} sntryu_{h64} pul-{h40} shpat_{h32}
sk_live_{a24} rk_test_{a24} whsec_{a32} glsa_{a32}_{h8} glc_{a40}= ntn_{d11}{a35}
SG.{a22}.{a43} dt0c01.{u24}.{u64} dp.pt.{a43} pscale_tkn_{a43} PMAK-{h24}-{h34} lin_api_{a40}
ATATT3{a186} NRAK-{u27} HRKU-AA{a58} tskey-auth-{a17}-{a32} nfp_{a36} pnu_{a36} fo1_{a43} fm2_{a100}
ops_eyJ{a250} AGE-SECRET-KEY-1{u58} sha256~{a43} hvs.{a95} hvb.{a140} s.{a24} {l14}.atlasv1.{a64}
K10{h64}::server:{h32} {l6}.9{l15} token-{l5}:{l54} kubeconfig-u-abcde:{l54}
10.0.0.9:25000/{h32}/{h12} eyJhbGciOiJSUzI1NiIsImtpZCI6I{a10}.eyJpc3MiOiJrdWJlcm5ldGVz{a40}.{a86}
H4sIAAAAAAAA{a60} $6$saltsalt${a86} $2y$10${a53} $apr1$a1b2c3d4${a22} {SSHA}{a38}==
-----BEGIN_PRIVATE_KEY-----\\nMIIE{a60}\\n{a60}\\n-----END_PRIVATE_KEY-----
-----BEGIN_OPENSSH_PRIVATE_KEY-----\\nb3Bl{a60}\\n{a60}\\n-----END_OPENSSH_PRIVATE_KEY-----
-----BEGIN_RSA_PRIVATE_KEY-----\\nMIIE{a60}\\n{a60}\\n-----END_RSA_PRIVATE_KEY-----
""".split()  # noqa: SIM905 - a table is easier to read
"""Tokens of services: {a36} is 36 letters and digits, u capitals, l small ones, h hex, d digits."""

# What is in double angle brackets is the secret in a phrase.
PHRASES = """
curl -u me:<<#>> https://example.com
curl --user me:<<#>> https://example.com
wget --password=<<#>> https://example.com
curl -b session=<<#>> https://example.com
mysql -h db -u root -p<<#>> shop
mysqldump --password=<<#>> shop
sshpass -p <<#>> ssh -p 22 me@host
docker login -u me -p <<#>> nvcr.io
helm registry login -u me -p <<#>> nvcr.io
az login --service-principal -u app -p <<#>> --tenant t
redis-cli -h db -a <<#>> ping
ldapsearch -x -D cn=admin -w <<#>> -b dc=x
sqlcmd -S db -U sa -P <<#>> -Q x
ipmitool -H bmc -U admin -P <<#>> power status
smbclient //srv/share -U me%<<#>>
snmpwalk -v3 -u me -A <<#>> -X <<#>> host
openssl pkcs12 -in a.p12 -passin pass:<<#>>
openssl enc -aes-256-cbc -pass pass:<<#>> -in x
keytool -list -storepass <<#>>
mosquitto_pub -u me -P <<#>> -t x
unzip -P <<#>> a.zip
7z x -p<<#>> a.7z
mongosh --username root --password <<#>>
kubectl create secret generic x --from-literal=any=<<#>>
kubectl create secret docker-registry x --docker-password=<<#>>
etcdctl --user root:<<#>> get x
vault login <<#>>
k3s server --token <<#>> --agent-token <<#>>
redis-server --requirepass <<#>>
postgres://me:<<#>>@db:5432/shop
postgresql://me:<<#>>/x@db/shop
mongodb+srv://me:<<#>>@cluster.example.com/x
redis://:<<#>>@db:6379/0
amqp://me:<<#>>@mq:5672/
http://me:<<#>>@proxy.example.com:3128
https://<<#>>@github.com/a/b.git
me:<<#>>@tcp(db:3306)/shop
jdbc:oracle:thin:scott/<<#>>@db:1521
jdbc:mysql://db/shop?user=me&password=<<#>>
jdbc:sqlserver://db;user=sa;password=<<#>>;encrypt=true
Server=db;Database=x;User Id=sa;Password=<<#>>;
Server=db;Uid=sa;Pwd=<<#>>;Port=3306
host=db user=me password=<<#>> dbname=x
DefaultEndpointsProtocol=https;AccountName=x;AccountKey=<<#/+==>>;EndpointSuffix=core.windows.net
Endpoint=sb://x.servicebus.windows.net/;SharedAccessKeyName=k;SharedAccessKey=<<#=>>
BlobEndpoint=https://x;SharedAccessSignature=sv=2022-11-02&ss=b&sig=<<#aaaaaaaaaaaaaaaa%3D>>
https://x.blob.core.windows.net/c/f?sv=2022-11-02&se=2030&sr=b&sp=r&sig=<<#aaaaaaaaaaaaaaaa%3D>>
sv=2022-11-02&sig=<<#aaaaaaaaaaaaaaaaaaaa%3D>>&sp=r
https://s3.amazonaws.com/b?X-Amz-Credential=<<#>>%2Fus&X-Amz-Signature=<<#>>
https://storage.googleapis.com/b?GoogleAccessId=x&Signature=<<#aaaaaaaaaaaaaaaa>>
GET /v2/?token=<<#>>&x=1 HTTP/1.1
Authorization: Bearer <<#>>
Authorization: Basic <<#>>
Authorization: token <<#>>
Proxy-Authorization: Basic <<#>>
Cookie: session=<<#>>; theme=dark
Set-Cookie: sid=<<#>>; HttpOnly
X-Api-Key: <<#>>
http_proxy=me:<<#>>@proxy:3128
machine nvcr.io login me password <<#>>
""".strip().splitlines()

_ALPHABETS = {
    "a": string.ascii_letters + string.digits,
    "u": string.ascii_uppercase + "234567",
    "l": string.ascii_lowercase + string.digits,
    "h": "0123456789abcdef",
    "d": string.digits,
}
_HOLE = re.compile(r"\{([aulhd])([0-9]+)\}")


def _token(template: str, dice: random.Random) -> str:
    """Return a token of a template, a different one for each."""

    def fill(hole: re.Match[str]) -> str:
        return "".join(dice.choices(_ALPHABETS[hole[1]], k=int(hole[2])))

    spaced = re.sub("_?(OPENSSH|RSA)?_(PRIVATE)_(KEY)", r" \1 \2 \3", template)
    filled = _HOLE.sub(fill, " ".join(spaced.split()))
    return filled.replace("{uuid}", str(uuid.UUID(int=dice.getrandbits(128))))


def _of_names() -> list[Secret]:
    values = [f"s3cr3t{index:03}vAl" for index, _ in enumerate(NAMES)]
    return [Secret(name, value, (value,)) for name, value in zip(NAMES, values, strict=True)]


def _of_shapes() -> list[Secret]:
    dice = random.Random(17)  # noqa: S311 - they open nothing
    found = []
    for index, template in enumerate(SHAPES):
        token = _token(template, dice)
        body = token.partition("\\n-----END")[0].rstrip("=")
        found.append(Secret(f"note{index}", token, (body[-10:],)))
    return found


def _of_phrases() -> list[Secret]:
    found = []
    for index, phrase in enumerate(PHRASES):
        value = f"pl4nted{index:03}vAl"
        text = phrase.replace("#", value).replace("<<", "").replace(">>", "")
        found.append(Secret(f"line{index}", text, (value,)))
    return found


SECRETS = (*_of_names(), *_of_shapes(), *_of_phrases())
PLAIN = Secret("plain", "stays-as-it-is", ())
