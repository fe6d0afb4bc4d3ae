"""Values and lines that only look like secrets."""

from __future__ import annotations

import random
import string
from base64 import b64encode

from .kinds import Draw, Form, drawn, either, joined

_HEX = "0123456789abcdef"
_BASE62 = string.ascii_letters + string.digits
_DIGITS = string.digits


def _uuid(rng: random.Random) -> str:
    text = f"{rng.getrandbits(128):032x}"
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-a{text[17:20]}-{text[20:]}"


def _integrity(rng: random.Random) -> str:
    size = rng.choice((32, 48, 64))
    return f"sha{8 * size}-" + b64encode(rng.getrandbits(8 * size).to_bytes(size, "big")).decode()


def _image(rng: random.Random) -> str:
    size = rng.randrange(60, 400)
    data = b"\x89PNG\r\n\x1a\n" + rng.getrandbits(8 * size).to_bytes(size, "big")
    return "data:image/png;base64," + b64encode(data).decode()


def _private_ip(rng: random.Random) -> str:
    a, b, c = (rng.randrange(1, 255) for _ in range(3))
    ranges = (f"10.{a}.{b}.{c}", f"192.168.{b}.{c}", f"172.16.{b}.{c}", f"127.0.0.{c}")
    return rng.choice((*ranges, f"169.254.{b}.{c}", f"fd00:{a:x}::{b:x}", f"fe80::{a:x}:{b:x}"))


def _documentation_ip(rng: random.Random) -> str:
    a, b = rng.randrange(1, 255), rng.getrandbits(16)
    ranges = (f"192.0.2.{a}", f"198.51.100.{a}", f"203.0.113.{a}", f"2001:db8::{b:x}", "0.0.0.0")
    return rng.choice(ranges)


def _time(rng: random.Random) -> str:
    year, month, day = rng.randrange(1990, 2030), rng.randrange(1, 13), rng.randrange(1, 29)
    hour, minute = rng.randrange(24), rng.randrange(60)
    return rng.choice(
        (
            f"{year}-{month:02}-{day:02}T{hour:02}:{minute:02}:30.123456Z",
            f"{year}{month:02}{day:02}T{hour:02}{minute:02}30Z",
            f"{year}-{month:02}-{day:02} {hour:02}:{minute:02}:00+02:00",
        )
    )


def _one_of(text: str) -> Draw:
    choices = [line.strip() for line in text.strip().splitlines()]
    return lambda rng: rng.choice(choices)


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_SECRET_NAMES = _names(
    "password db_password api_key secret_key client_secret smtp_password jwt_secret auth_token"
)

NEGATIVES: tuple[Form, ...] = (
    Form("uuid", _uuid, _names("request_id tenant_id correlation trace_id node api_key_id")),
    Form(
        "digest",
        drawn(_HEX, (32, 40, 64, 128)),
        _names("sha256 checksum md5sum expected_digest file_hash sha1 etag fingerprint"),
        named=True,
    ),
    Form(
        "commit",
        drawn(_HEX, 40),
        _names("commit git_commit revision rev base_sha head_commit"),
        ("§", "§", "https://github.com/%(w)s/%(x)s/commit/§", "git+https://%(h)s/%(w)s@§"),
        named=True,
    ),
    Form("integrity", _integrity, _names("integrity resolved_integrity subresource"), named=True),
    Form(
        "version",
        lambda rng: ".".join(str(rng.randrange(1, 30)) for _ in range(4)),
        _names("version min_version driver_version assembly_version"),
        ("§", "§", ">=§", "v§", "%(w)s/§"),
        named=True,
    ),
    Form(
        "private IP",
        _private_ip,
        _names("host bind listen gateway"),
        ("§", "§", "http://§:80"),
    ),
    Form("documentation IP", _documentation_ip, _names("host bind listen gateway")),
    Form(
        "example address",
        joined(
            either("user", "jane.doe", "admin", "test"),
            "@",
            either(
                "example.com", "example.org", "test.example", "yourdomain.com", "mail.example.net"
            ),
        ),
        _names("email contact sender reply_to"),
        ("§", "§", "mailto:§"),
    ),
    Form(
        "package path",
        _one_of(
            """@babel/core@7.22.5
            @types/node@20.4.1
            lodash@4.17.21
            react-dom@18.2.0
            actions/checkout@v4
            docker.io/library/redis@sha256
            github.com/spf13/cobra@v1.8.0
            git@github.com:org/repo.git"""
        ),
        _names("package dependency uses plugin"),
    ),
    Form(
        "placeholder",
        _one_of(
            """changeme
            your-api-key-here
            YOUR_API_KEY
            <token>
            ${DB_PASSWORD}
            {{ vault_db_password }}
            xxxxxxxxxxxx
            ********
            <your-password>
            REPLACE_ME
            replace-me
            insert_your_secret_here
            TODO
            dummy
            placeholder
            my-secret
            secret123
            enter your password
            {password}
            %(db_password)s
            $PASSWORD
            [REDACTED]
            not-a-real-key
            fake-api-key
            test
            example-secret
            ENC[placeholder]
            <insert key>
            todo-change-this"""
        ),
        _SECRET_NAMES,
        named=True,
    ),
    Form(
        "example token",
        _one_of(
            f"""AKIA{"IOSFODNN7"}EXAMPLE
            wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY
            ghp_{"x" * 36}
            gh{"p_"}{"0" * 36}
            sk-ant-api03-{"x" * 20}
            sk-...
            xoxb-your-token
            sk{"_live_"}...
            hf_{"x" * 34}
            npm_{"X" * 36}
            glpat-{"x" * 20}
            AIza{"x" * 35}
            eyJhbGciOi..."""
        ),
        _names("access_key_id token example_value sample"),
    ),
    Form(
        "long identifier",
        _one_of(
            """MaximumConnectionPoolWaitSeconds2
            org.springframework.boot.autoconfigure.jdbc.DataSourceAutoConfiguration
            application/vnd.openxmlformats-officedocument.wordprocessingml.document
            com/example/project/module3/AbstractSingletonProxyFactoryBean
            projects/acme-prod-2/locations/europe-west1/keyRings/main
            arn:aws:iam::123456789012:role/service-role/lambda-basic-execution
            feature_flag_enable_new_checkout_flow_v2
            NSTemporaryDirectoryUnavailableError11
            user-profile-settings-page-header-2
            /usr/share/zoneinfo/America/Argentina/Buenos_Aires"""
        ),
        _names("class_name content_type resource_name feature event"),
    ),
    Form("image", _image, _names("icon logo pixel background"), named=True),
    Form(
        "colour",
        joined("#", drawn(_HEX, (6, 8))),
        _names("color background border fill"),
        named=True,
        quoted=True,
    ),
    Form(
        "test name",
        joined(
            "test_",
            _one_of(
                """password_is_rejected_when_too_short
                secret_key_rotates_after_90_days
                login_with_wrong_password_returns_401
                api_key_header_is_required"""
            ),
        ),
        _names("test_name case password_test only"),
        named=True,
    ),
    Form(
        "dotted path",
        _one_of(
            """django.contrib.auth.password_validation.MinimumLengthValidator
            django.contrib.auth.hashers.PBKDF2PasswordHasher
            myapp.security.secrets.SecretManagerBackend
            org.apache.kafka.common.security.plain.PlainLoginModule
            rest_framework.authtoken"""
        ),
        _names("password_hasher secret_backend api_key_provider login_module"),
    ),
    Form(
        "sentence",
        _one_of(
            """Please enter your password again
            Das Passwort ist zu kurz (mindestens 12 Zeichen)
            Le mot de passe saisi a expiré
            密码长度不能少于8位
            Forgot your password?
            Passwords do not match
            The secret key could not be read: permission denied
            API key missing or invalid"""
        ),
        _names("password_error password_help invalid_password secret_missing api_key_error"),
        quoted=True,
    ),
    Form("time", _time, _names("created_at expires build_date not_before")),
    Form(
        "number",
        either(
            drawn("123456789", (13, 16, 19)),
            joined("978", drawn(_DIGITS, 10)),
            joined("+49", drawn(_DIGITS, 10)),
        ),
        _names("ean barcode isbn order_number phone"),
    ),
    Form(
        "lorem ipsum",
        _one_of(
            """Lorem ipsum dolor sit amet, consectetur adipiscing elit
            sed do eiusmod tempor incididunt ut labore et dolore magna aliqua
            Ut enim ad minim veniam, quis nostrud exercitation"""
        ),
        _names("description body summary title"),
        quoted=True,
    ),
    Form(
        "name of a secret",
        _one_of(
            """db-credentials
            prod/db/password
            DATABASE_PASSWORD
            stripe-api-key
            app-secrets-v2"""
        ),
        _names("secret_name password_key api_key_secret secret_ref password_secret_name"),
        named=True,
    ),
    Form(
        "reference to a store",
        _one_of(
            """projects/acme/secrets/api-key/versions/latest
            op://vault/item/password
            vault:secret/data/app#password
            ssm:/prod/api_key
            arn:aws:secretsmanager:eu-west-1:123456789012:secret:prod/db-a1B2c3"""
        ),
        _names("db_password api_key client_secret secret_ref smtp_password"),
        named=True,
    ),
    Form(
        "file of a secret",
        _one_of(
            """/run/secrets/db_password
            /etc/ssl/private/server.key
            ~/.ssh/id_ed25519
            ./certs/client-key.pem
            C:\\keys\\signing.pfx
            id_rsa.pub"""
        ),
        _names("password_file private_key_path private_key secret_file api_key_file ssl_key"),
        named=True,
    ),
    Form(
        "default credentials",
        _one_of(
            """amqp://guest:guest@localhost:5672//
            postgres://user:password@localhost:5432/app
            postgres://postgres:postgres@localhost/postgres
            http://user:pass@example.com/
            mysql://root:root@127.0.0.1:3306/test"""
        ),
        _names("database_url broker_url upstream remote"),
    ),
    Form(
        "word for a secret",
        _one_of(
            """password
            secret
            api_key
            apiKey
            client_credentials
            access_token
            input[type=password]
            PASSWORD_RESET
            private_key_jwt"""
        ),
        _names("grant_type field auth_type input_type password_field secret_type"),
    ),
    Form(
        "pattern",
        _one_of(
            r"""^[a-zA-Z0-9_-]{20,40}$
            ghp_[A-Za-z0-9]{36}
            AKIA[0-9A-Z]{16}
            ^(?=.*[A-Z])(?=.*[0-9]).{8,64}$
            [^@ ]+@[^@ ]+
            -----BEGIN [A-Z ]*PRIVATE KEY-----"""
        ),
        _names("password_pattern token_regex api_key_format secret_regexp"),
        quoted=True,
    ),
    Form(
        "alphabet",
        _one_of(
            """ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789
            0123456789abcdef
            0123456789ABCDEFGHJKMNPQRSTVWXYZ
            abcdefghijklmnopqrstuvwxyz234567
            ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/
            123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"""
        ),
        _names("alphabet digits charset symbols"),
    ),
    Form(
        "hardware address",
        lambda rng: ":".join(f"{rng.randrange(256):02x}" for _ in range(6)),
        _names("mac hw_address adapter"),
    ),
    Form(
        "object identifier",
        _one_of("1.3.6.1.4.1.311.20.2\n1.2.840.113549.1.1.11\n2.5.29.37.3\n1.3.6.1\n2.5.4.3"),
        _names("oid extension algorithm"),
    ),
    Form(
        "URL without a password",
        _one_of(
            """postgres://${DB_USER}:${DB_PASSWORD}@${DB_HOST}:5432/app
            https://deploy@git.internal/app.git
            redis://localhost:6379/0
            ssh://git@code.internal:2222/team/app.git
            http://proxy.internal:3128/?next=a:b@c
            mysql://root:<password>@db/app
            https://{user}:{password}@{host}/"""
        ),
        _names("database_url broker_url upstream remote"),
    ),
    Form(
        "public key",
        joined(
            "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQ",
            drawn(_BASE62 + "+/", 340),
            " build",
        ),
        _names("public_key authorized ssh_key"),
        quoted=True,
    ),
    Form(
        "path data",
        lambda rng: (
            "M"
            + "".join(
                f"{rng.randrange(24)}.{rng.randrange(99)}{rng.choice('lLcChHvV')}"
                for _ in range(30)
            )
        ),
        _names("path d shape"),
        quoted=True,
    ),
    Form(
        "certificate",
        lambda rng: (
            "-----BEGIN CERTIFICATE-----\\nMII"
            + "\\n".join(drawn(_BASE62 + "+/", 64)(rng) for _ in range(3))
            + "\\n-----END CERTIFICATE-----"
        ),
        _names("certificate ca_bundle"),
        quoted=True,
    ),
)
"""Values for the contexts of every language; `kind` is the reason why they are not secrets."""

LINES: dict[str, dict[str, tuple[str, ...]]] = {
    "environment lookup": {
        "python": (
            '%(N)s = os.environ["DB_PASSWORD"]',
            'password = os.getenv("SMTP_PASSWORD")',
            'api_key = os.environ.get("API_KEY", "")',
            'secret_key = env("SECRET_KEY", default=None)',
        ),
        "javascript": (
            "const apiKey = process.env.API_KEY;",
            "const password = process.env['DB_PASSWORD'] || '';",
        ),
        "typescript": ("const secret: string = process.env.CLIENT_SECRET!;",),
        "go": ('password := os.Getenv("DB_PASSWORD")', 'Secret: os.Getenv("CLIENT_SECRET"),'),
        "java": ('String password = System.getenv("DB_PASSWORD");',),
        "c": ('const char *password = getenv("DB_PASSWORD");',),
        "yaml": ("password: ${DB_PASSWORD}", "api_key: ${{ secrets.API_KEY }}"),
        "shell": ('export DB_PASSWORD="$1"', "PASSWORD=$(cat /run/secrets/password)"),
        "terraform": ("password = var.db_password", "secret = data.vault_secret.app.value"),
        "properties": ("spring.datasource.password=${DB_PASSWORD}",),
        "dockerfile": ("ARG DB_PASSWORD", "ENV PASSWORD=${DB_PASSWORD}"),
        "notebook": ('password = os.environ["DB_PASSWORD"]',),
    },
    "prompt": {
        "python": (
            'password = getpass.getpass("Password for %%s: " %% user)',
            'secret = input("Secret: ")',
            'click.option("--password", prompt="Your password", hide_input=True)',
        ),
        "javascript": ("<input type='password' placeholder='Your password' name='password' />",),
        "go": ('fmt.Print("Enter password: ")',),
        "java": ('JLabel passwordLabel = new JLabel("Password:");',),
        "c": ('char *password = getpass("Password: ");',),
        "shell": ('read -r -s -p "Password: " password',),
    },
    "reference": {
        "python": (
            "client = connect(user=user, password=settings.db_password)",
            'password = config["database"]["password"]',
            "secret = generate_secret(32)",
            'api_key = request.headers["X-Api-Key"]',
            "if password != confirm_password:",
            "self.password = password or self._default_password()",
            'token = create_access_token({"sub": user.name})',
        ),
        "javascript": (
            "const { password, secret } = req.body;",
            "user.password = await bcrypt.hash(password, 10);",
            "headers: { 'X-Api-Key': config.apiKey },",
        ),
        "typescript": ("const secret = await this.secrets.get('db-password');",),
        "go": ("secret := []byte(cfg.Secret)", "if password == req.Password {"),
        "java": ("this.password = passwordEncoder.encode(password);",),
        "c": ("strncpy(ctx->password, password, sizeof(ctx->password));",),
        "yaml": ("secretKeyRef: {name: db, key: password}", "passwordSecretName: db-credentials"),
        "terraform": ("api_key = module.api.key", "secret_string = random_password.db.result"),
        "shell": ('password="$(pass show prod/db)"',),
    },
    "annotation": {
        "python": (
            "password: str | None = None",
            "def login(user: str, password: SecretStr, *, api_key: Optional[str] = None) -> Token:",
            "secret: Annotated[str, Field(min_length=32)]",
        ),
        "typescript": (
            "password?: string;",
            "apiKey: string | undefined;",
            "secret: Readonly<SecretValue>;",
        ),
        "go": ('Password string `json:"password,omitempty"`', "APIKey     *string"),
        "java": ('@JsonProperty("password") private final char[] password;',),
        "c": ("const char *password, *api_key;",),
        "terraform": ('variable "db_password" {\n  type      = string\n  sensitive = true\n}',),
    },
    "decorator": {
        "python": (
            "@app.route",
            '@pytest.mark.parametrize("password", ["", None])',
            "@property",
            "y = x@self.weight.data",
        ),
        "typescript": ("@Input() public password: string;", "@Component.extend"),
        "java": ("@org.junit.Test", '@NotBlank(message = "password is required")'),
    },
    "minified code": {
        "javascript": (
            "!function(e,t){for(var n=0,r=t.length;n<r;n++)e[t[n].key]=t[n].secret||e.pwd,"
            "e.password=t.password;var o=e.token,i={a:o,b:1.2,c:[1,2,3]};e.api_key=i}(this,[]);",
        ),
        "typescript": ("var e=r(12),t=e.n(r(7)),a={key:1,password:t.a,secret:e.b?e.c:void 0};",),
        "json": ('  "mappings": "AAAA,SAASA,EAAWC,GAClB,OAAOA,EAAEC,IAAI,SAAUC,GACrB",',),
    },
    "hyphens": {
        "python": ("# " + "-" * 60, "# -----BEGIN PRIVATE KEY-----"),
        "shell": ('grep -q "BEGIN RSA PRIVATE KEY" "$file"',),
        "go": ('if block.Type != "RSA PRIVATE KEY" {',),
    },
}
"""Whole lines about secrets that contain none, by reason and language."""
