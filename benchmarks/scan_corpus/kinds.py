"""Planted secrets: for each kind its formats, names of variables for it, and values around it.

All secrets are drawn at random, so none was ever issued. `§` in a value marks the secret.
"""

from __future__ import annotations

import ipaddress
import json
import random
import string
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from erasetest.demo.synthetic_secrets import GENERATORS

Draw = Callable[[random.Random], str]

_DIGITS = string.digits
_LETTERS = string.ascii_letters
_LOWER = string.ascii_lowercase + _DIGITS
_UPPER = string.ascii_uppercase + _DIGITS
_BASE62 = _LETTERS + _DIGITS
_URL64 = _BASE62 + "-_"
_HEX = "0123456789abcdef"
_SYMBOLS = "!#%^*-_+=.~"


@dataclass(frozen=True, slots=True)
class Form:
    """One format of a kind.

    Attributes:
        kind: the kind that a scan should report.
        draw: returns a fresh secret.
        names: names of variables and settings with the value.
        values: texts around the secret, in quotes or up to the end of a line.
        named: whether only the name identifies it as a secret, so that it always has one.
        quoted: whether the secret contains characters that need quotes.
    """

    kind: str
    draw: Draw
    names: tuple[str, ...]
    values: tuple[str, ...] = ("§",)
    named: bool = False
    quoted: bool = False


def drawn(alphabet: str, length: int | Sequence[int]) -> Draw:
    """Return a draw of `length` characters, or of one of several lengths."""
    lengths = (length,) if isinstance(length, int) else tuple(length)
    return lambda rng: "".join(rng.choices(alphabet, k=rng.choice(lengths)))


def joined(*parts: str | Draw) -> Draw:
    """Return a draw that concatenates parts, which may be fixed."""
    return lambda rng: "".join(part if isinstance(part, str) else part(rng) for part in parts)


def either(*draws: str | Draw) -> Draw:
    """Return a draw by one of the draws, chosen at random."""
    return lambda rng: joined(rng.choice(draws))(rng)


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


def _random_bytes(rng: random.Random, count: int) -> bytes:
    return rng.getrandbits(8 * count).to_bytes(count, "big")


def _base64(*counts: int) -> Draw:
    return lambda rng: b64encode(_random_bytes(rng, rng.choice(counts))).decode()


def _json_segment(value: Mapping[str, object]) -> str:
    data = json.dumps(value, separators=(",", ":")).encode()
    return urlsafe_b64encode(data).decode().rstrip("=")


def _jwt(rng: random.Random) -> str:
    header = {"alg": rng.choice(("HS256", "RS256", "ES256")), "typ": "JWT"}
    if rng.random() < 0.3:
        header["kid"] = drawn(_HEX, 8)(rng)
    begun = rng.randrange(1_500_000_000, 1_800_000_000)
    payload: dict[str, object] = {"sub": drawn(_DIGITS, 10)(rng), "iat": begun, "exp": begun + 3600}
    signature = drawn(_URL64, 342 if header["alg"] == "RS256" else 43)(rng)
    return f"{_json_segment(header)}.{_json_segment(payload)}.{signature}"


def _grafana_cloud(rng: random.Random) -> str:
    data = json.dumps({"o": drawn(_DIGITS, 6)(rng), "n": "ci", "k": drawn(_BASE62, 24)(rng)})
    return "glc_" + b64encode(data.encode()).decode()


def _person(rng: random.Random) -> str:
    name = GENERATORS["email"](rng).split("@")[0]
    first, last = name.split(".")
    local = rng.choice((name, first[0] + last, f"{first}_{last}", f"{first}+ci", first.title()))
    host = drawn("bdfgklmnprst", 2)(rng) + GENERATORS["email"](rng).split("@")[0].replace(".", "")
    return f"{local}@{host}.{rng.choice(('com', 'org', 'io', 'de', 'co.uk', 'dev', 'edu'))}"


def _ipv4(rng: random.Random) -> str:
    while True:
        address = ipaddress.IPv4Address(rng.getrandbits(32))
        if address.is_global and not (address.is_multicast or address.is_reserved):
            text = str(address)
            if not text.endswith((".0", ".255")) and len(text) > 11:
                return text


def _ipv6(rng: random.Random) -> str:
    # 2d00::/8 is not assigned to a registry.
    head = f"2d{rng.getrandbits(8):02x}:{rng.getrandbits(16):x}"
    tail = ":".join(f"{rng.getrandbits(16):x}" for _ in range(rng.randrange(1, 4)))
    return f"{head}::{tail}"


def _memorable(rng: random.Random) -> str:
    word = GENERATORS["email"](rng).split("@")[0].split(".")[1]
    return f"{word.title()}{rng.choice('!#%^*-_.')}{rng.randrange(10, 10_000)}{rng.choice('!?*')}"


def key_lines(rng: random.Random) -> list[str]:
    """Return the lines of a private key in a usual format; its data is not valid DER."""
    label, count, last, headers = rng.choice(
        (
            ("RSA PRIVATE KEY", 25, 56, ()),
            ("RSA PRIVATE KEY", 13, 40, ()),
            ("EC PRIVATE KEY", 2, 36, ()),
            ("OPENSSH PRIVATE KEY", 5, 28, ()),
            ("OPENSSH PRIVATE KEY", 36, 20, ()),
            ("PRIVATE KEY", 26, 24, ()),
            ("ENCRYPTED PRIVATE KEY", 28, 12, ()),
            ("DSA PRIVATE KEY", 10, 48, ()),
            (
                "RSA PRIVATE KEY",
                25,
                44,
                ("Proc-Type: 4,ENCRYPTED", "DEK-Info: AES-128-CBC,%s", ""),
            ),
        )
    )
    width = 70 if label.startswith("OPENSSH") else 64
    body = [drawn(_BASE62 + "+/", width)(rng) for _ in range(count)]
    body[0] = rng.choice("abcdefgh") + body[0][1:]
    body.append(drawn(_BASE62, last - 1)(rng) + "=")
    extra = [line.replace("%s", drawn(_UPPER, 32)(rng)) for line in headers]
    return [f"-----BEGIN {label}-----", *extra, *body, f"-----END {label}-----"]


_HOST_URL = "%(h)s:%(d)s/%(x)s"
_PLAIN_PASSWORD = either(drawn(_BASE62, (12, 16, 20)), drawn(_LOWER, 14), drawn(_HEX, 24))
_ODD_PASSWORD = either(drawn(_BASE62 + _SYMBOLS, (12, 16, 24)), _memorable)
_DATABASE_NAMES = _words(
    "db_password database_password postgres_password mysql_root_password mongo_password db_pass "
    "mariadb_password pg_password redis_db_password mssql_sa_password mysql_pwd"
)
_PASSWORD_NAMES = _words(
    "password passwd admin_password smtp_password ftp_pwd user_password ldap_bind_password "
    "keystore_password default_password root_pwd mail_passwd service_password"
)
_SECRET_NAMES = _words(
    "secret_key client_secret app_secret jwt_secret api_key apikey auth_key webhook_secret "
    "session_secret service_api_key consumer_secret django_secret_key"
)
# Names of secrets that are in few keyword lists.
_OTHER_NAMES = _words("passphrase access_token auth_token bearer_token encryption_key")

FORMS: tuple[Form, ...] = (
    Form(
        "aws-access-key",
        GENERATORS["aws-access-key"],
        _words("aws_access_key_id access_key_id s3_access_key aws_key aws_id"),
        ("§", "§", "https://s3.amazonaws.com/%(w)s?AWSAccessKeyId=§&Expires=%(d)s"),
    ),
    Form(
        "aws-secret-access-key",
        drawn(_BASE62 + "+/", 40),
        _words("aws_secret_access_key aws_secret_key aws_session_key"),
        named=True,
    ),
    Form(
        "github-token",
        either(
            GENERATORS["github-token"],
            joined(either("gho_", "ghu_", "ghs_", "ghr_"), drawn(_BASE62, 36)),
        ),
        _words("github_token gh_token repo_token ci_token"),
        (
            "§",
            "§",
            "token §",
            "https://§@github.com/%(w)s/%(x)s.git",
            "https://x-access-token:§@github.com/%(w)s/%(x)s",
        ),
    ),
    Form(
        "github-fine-grained-token",
        joined("github_pat_", drawn(_BASE62, 22), "_", drawn(_BASE62, 59)),
        _words("github_token gh_pat repo_pat"),
        ("§", "§", "https://§@github.com/%(w)s/%(x)s.git"),
    ),
    Form(
        "gitlab-token",
        either(
            joined("gl", "pat-", drawn(_URL64, 20)),
            joined("gldt-", drawn(_BASE62, 20)),
            joined("glrt-", drawn(_BASE62, 20)),
            joined("glptt-", drawn(_HEX, 40)),
            joined("glcbt-64_", drawn(_BASE62, 20)),
        ),
        _words("gitlab_token gl_token runner_token ci_job_token"),
        ("§", "§", "https://oauth2:§@gitlab.com/%(w)s/%(x)s.git"),
    ),
    Form(
        "slack-token",
        either(
            GENERATORS["slack-token"],
            joined(
                "xox", "p-0", drawn(_DIGITS, 10), "-0", drawn(_DIGITS, 11), "-", drawn(_HEX, 32)
            ),
        ),
        _words("slack_token slack_bot_token chat_token"),
    ),
    Form(
        "slack-token",
        joined(
            "https://hooks.slack.com/services/T0",
            drawn(_UPPER, 8),
            "/B0",
            drawn(_UPPER, 8),
            "/",
            drawn(_BASE62, 24),
        ),
        _words("slack_webhook alerts_url notify_hook"),
    ),
    Form(
        "slack-app-token",
        joined("xapp-1-A0", drawn(_UPPER, 9), "-", drawn(_DIGITS, 13), "-", drawn(_HEX, 64)),
        _words("slack_app_token socket_mode_token"),
    ),
    Form(
        "stripe-access-key",
        joined(either("sk", "rk"), "_live_", drawn(_BASE62, 24)),
        _words("stripe_key stripe_secret payment_key"),
    ),
    Form(
        "stripe-access-key",
        joined("sk", "_live_51", drawn(_BASE62, 97)),
        _words("stripe_key stripe_secret stripe_api_key"),
    ),
    Form(
        "sendgrid-api-key",
        joined("SG.", drawn(_URL64, 22), ".", drawn(_URL64, 43)),
        _words("sendgrid_api_key mail_api_key sendgrid_token"),
    ),
    Form(
        "twilio-api-key",
        joined("SK", drawn(_HEX, 32)),
        _words("twilio_api_key twilio_key sms_key"),
    ),
    Form(
        "npm-token",
        joined("npm_", drawn(_BASE62, 36)),
        _words("npm_token registry_token node_auth_token"),
        ("§", "§", "//registry.npmjs.org/:_authToken=§"),
    ),
    Form(
        "pypi-token",
        joined("pypi-", "AgEIcHlwaS5vcmc", drawn(_URL64, (120, 160))),
        _words("pypi_token twine_token upload_token"),
    ),
    Form(
        "discord-bot-token",
        joined(
            either("M", "N", "O"),
            drawn(_BASE62, 23),
            ".",
            drawn(_BASE62, 6),
            ".",
            drawn(_URL64, 27),
        ),
        _words("discord_token bot_token"),
        ("§", "§", "Bot §"),
    ),
    Form(
        "discord-bot-token",
        joined("MT", drawn(_BASE62, 24), ".G", drawn(_BASE62, 5), ".", drawn(_URL64, 38)),
        _words("discord_token bot_token"),
    ),
    Form(
        "telegram-bot-token",
        joined(drawn("123456789", 10), ":AA", drawn(_URL64, 33)),
        _words("telegram_token bot_token"),
        ("§", "§", "https://api.telegram.org/bot§/sendMessage"),
    ),
    Form(
        "azure-storage-account-access-key",
        joined(drawn(_BASE62 + "+/", 86), "=="),
        _words("storage_connection azure_storage blob_connection"),
        (
            "DefaultEndpointsProtocol=https;AccountName=%(w)s;AccountKey=§;"
            "EndpointSuffix=core.windows.net",
        ),
    ),
    Form(
        "azure-storage-account-access-key",
        joined(drawn(_BASE62 + "+/", 86), "=="),
        _words("azure_storage_account_key storage_account_key azure_storage_key"),
        named=True,
    ),
    Form(
        "azure-ad-client-secret",
        joined(drawn(_BASE62, 3), "8Q~", drawn(_BASE62 + "._~-", (31, 34))),
        _words("azure_client_secret client_secret arm_client_secret"),
    ),
    Form(
        "anthropic-api-key",
        joined("sk-ant-", either("api03-", "admin01-"), drawn(_URL64, 93), "AA"),
        _words("anthropic_api_key claude_key llm_key"),
    ),
    Form(
        "openai-token",
        joined("sk-", drawn(_BASE62, 20), "T3Blbk", "FJ", drawn(_BASE62, 20)),
        _words("openai_api_key openai_key llm_key"),
    ),
    Form(
        "openai-project-key",
        either(
            joined(
                "sk-proj-", drawn(_URL64, 74), "T3Blbk", "FJ", drawn(_URL64, 73), drawn(_BASE62, 1)
            ),
            joined("sk-svcacct-", drawn(_URL64, 74), "T3Blbk", "FJ", drawn(_URL64, 73), "A"),
            joined("sk-admin-", drawn(_URL64, 58), "T3Blbk", "FJ", drawn(_URL64, 57), "A"),
            joined("sk-proj-", drawn(_BASE62, 20), "T3Blbk", "FJ", drawn(_BASE62, 20)),
        ),
        _words("openai_api_key openai_key llm_key"),
    ),
    Form(
        "huggingface-token",
        either(joined("hf_", drawn(_LETTERS, 34)), joined("api_org_", drawn(_LETTERS, 34))),
        _words("hf_token huggingface_token hub_token"),
    ),
    Form(
        "google-api-key",
        joined("AIza", "Sy", drawn(_URL64, 32), drawn(_BASE62, 1)),
        _words("google_api_key maps_key firebase_key"),
        ("§", "§", "https://maps.googleapis.com/maps/api/js?key=§&callback=init"),
    ),
    Form(
        "google-oauth-client-secret",
        joined("GOCSPX-", drawn(_URL64, 27), drawn(_BASE62, 1)),
        _words("google_client_secret client_secret oauth_secret"),
    ),
    Form(
        "digitalocean-token",
        joined(either("dop_v1_", "doo_v1_", "dor_v1_"), drawn(_HEX, 64)),
        _words("do_token digitalocean_token"),
    ),
    Form(
        "databricks-token",
        joined("dapi", drawn(_HEX, 32), either("", "-2", "-3")),
        _words("databricks_token dbx_token"),
    ),
    Form(
        "shopify-token",
        joined(either("shpat_", "shpca_", "shppa_", "shpss_"), drawn(_HEX, 32)),
        _words("shopify_token shop_token"),
    ),
    Form(
        "vault-token",
        either(
            joined("hvs.", drawn(_URL64, (90, 95))),
            joined("hvb.", drawn(_URL64, (140, 200))),
        ),
        _words("vault_token vault_root"),
    ),
    Form(
        "cloudflare-origin-ca-key",
        joined("v1.0-", drawn(_HEX, 24), "-", drawn(_HEX, 146)),
        _words("origin_ca_key cloudflare_ca"),
    ),
    Form(
        "docker-hub-token",
        joined("dckr_pat_", drawn(_URL64, 26), "a"),
        _words("docker_token hub_pat"),
    ),
    Form(
        "grafana-token",
        either(joined("glsa_", drawn(_BASE62, 32), "_", drawn(_HEX, 8)), _grafana_cloud),
        _words("grafana_token dashboards_token"),
    ),
    Form(
        "doppler-token",
        joined(either("dp.pt.", "dp.st.prd.", "dp.st."), drawn(_BASE62, 43)),
        _words("doppler_token settings_token"),
    ),
    Form("linear-api-key", joined("lin_api_", drawn(_BASE62, 40)), _words("linear_key issues_key")),
    Form("new-relic-api-key", joined("NRAK-", drawn(_UPPER, 27)), _words("newrelic_key apm_key")),
    Form(
        "notion-token",
        joined("ntn_", drawn(_DIGITS, 11), drawn(_BASE62, 35)),
        _words("notion_token wiki_token"),
    ),
    Form(
        "planetscale-token",
        joined(either("pscale_tkn_", "pscale_pw_", "pscale_oauth_"), drawn(_BASE62, 43)),
        _words("pscale_token planetscale_service_token"),
    ),
    Form(
        "postman-api-key",
        joined("PMAK-", drawn(_HEX, 24), "-", drawn(_HEX, 34)),
        _words("postman_key collection_key"),
    ),
    Form(
        "terraform-cloud-token",
        joined(drawn(_BASE62, 14), ".atlasv1.", drawn(_BASE62, 67)),
        _words("tfe_token tf_cloud_token"),
    ),
    Form(
        "mailchimp-access-key",
        joined(drawn(_HEX, 32), "-us", either("2", "14", "21")),
        _words("mailchimp_key newsletter_key"),
    ),
    Form(
        "square-oauth-secret",
        joined("sq0", "csp-", drawn(_URL64, 43)),
        _words("square_secret pos_secret"),
    ),
    Form(
        "artifactory-credentials",
        joined("AKCp", drawn(_BASE62, 69)),
        _words("artifactory_key jfrog_key"),
    ),
    Form("softlayer-credentials", drawn(_HEX, 64), _words("softlayer_api_key"), named=True),
    Form("cloudant-credentials", drawn(_HEX, 64), _words("cloudant_password"), named=True),
    Form("ibm-cloud-iam-key", drawn(_URL64, 44), _words("ibm_cloud_iam_key"), named=True),
    Form(
        "ibm-cos-hmac-credentials",
        drawn(_HEX, 48),
        _words("cos_hmac_secret_access_key"),
        named=True,
    ),
    Form(
        "jwt",
        either(GENERATORS["jwt"], _jwt, _jwt),
        _words("access_jwt id_token service_jwt anon_jwt"),
        ("§", "§", "Bearer §", "https://%(h)s/%(w)s?jwt=§"),
    ),
    Form(
        "basic-auth",
        either(GENERATORS["basic-auth"], drawn(_LOWER, 10), drawn(_BASE62, 24)),
        _words(
            "database_url broker_url celery_backend dsn upstream mirror_url git_remote index_url"
        ),
        (
            f"postgres://%(w)s:§@{_HOST_URL}",
            f"postgresql+asyncpg://%(w)s:§@{_HOST_URL}?ssl=true",
            f"mysql://root:§@{_HOST_URL}",
            "mongodb+srv://%(w)s:§@cluster0.%(x)s.mongodb.net/?retryWrites=true",
            f"amqp://%(w)s:§@{_HOST_URL}",
            "redis://default:§@redis:6379/0",
            "redis://:§@redis:6379/0",
            "https://deploy:§@%(h)s/%(w)s/%(x)s.git",
            "https://%(w)s:§@pypi.%(h)s/simple",
            "ftp://%(w)s:§@%(h)s/%(x)s",
            "smtp://mailer:§@%(h)s:587",
            "http://%(w)s:§@10.0.12.%(b)s:3128",
            "mysql+pymysql://%(w)s:§@localhost/%(x)s",
        ),
    ),
    Form(
        "basic-auth",
        joined(drawn(_BASE62, 6), either("%40", "%23", "%2F"), drawn(_BASE62, 6)),
        _words("database_url broker_url"),
        (f"postgres://%(w)s:§@{_HOST_URL}", f"amqps://%(w)s:§@{_HOST_URL}"),
    ),
    Form("database-password", _PLAIN_PASSWORD, _DATABASE_NAMES, named=True),
    Form("database-password", _ODD_PASSWORD, _DATABASE_NAMES, named=True, quoted=True),
    Form(
        "database-password",
        _PLAIN_PASSWORD,
        _words("dsn conninfo connection_string jdbc_url datasource"),
        (
            "host=%(h)s port=5432 user=%(w)s password=§ dbname=%(x)s",
            "jdbc:mysql://%(h)s:3306/%(x)s?user=%(w)s&password=§&useSSL=false",
            "jdbc:sqlserver://%(h)s;databaseName=%(x)s;user=%(w)s;password=§;",
            "Server=%(h)s;Database=%(x)s;User Id=%(w)s;Password=§;Encrypt=yes",
            "Driver={ODBC Driver 17};Server=%(h)s;Uid=%(w)s;Pwd=§",
        ),
    ),
    Form("password", _PLAIN_PASSWORD, _PASSWORD_NAMES, named=True),
    Form("password", _ODD_PASSWORD, _PASSWORD_NAMES, named=True, quoted=True),
    Form(
        "password",
        either(drawn(_BASE62, (32, 40)), drawn(_HEX, (32, 64)), drawn(_URL64, 43)),
        _SECRET_NAMES,
        named=True,
    ),
    Form("password", either(drawn(_BASE62, 32), drawn(_BASE62, 20)), _OTHER_NAMES, named=True),
    Form(
        "email",
        either(GENERATORS["email"], _person, _person),
        _words("author_email contact maintainer reply_to admin_email owner notify"),
        ("§", "§", "%(P)s Team <§>", "mailto:§", "mailto:§?subject=%(w)s"),
    ),
    Form(
        "ip-address",
        _ipv4,
        _words("host upstream bind_address gateway nameserver peer"),
        ("§", "§", "§:6379", "http://§:8080/%(w)s", "root@§", "§/32", "tcp://§:2375"),
    ),
    Form(
        "ip-address",
        either(GENERATORS["ip-address"], _ipv6),
        _words("host upstream listen gateway nameserver peer"),
        ("§", "§", "[§]:443", "https://[§]/%(w)s", "§/128"),
    ),
    Form(
        "high-entropy-hex",
        drawn(_HEX, (32, 40, 64)),
        _words("signing_salt session_cookie device_token pepper nonce_seed access_code"),
        named=True,
    ),
    Form(
        "high-entropy-base64",
        either(_base64(32, 48, 64), drawn(_BASE62 + "+/", 40)),
        _words("signing_salt session_cookie device_token pepper cipher_seed fernet"),
        named=True,
    ),
)
"""Forms for the contexts of every language. Private keys and AWS pairs have separate contexts."""
